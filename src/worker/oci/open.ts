// From a reference on the command line to the source of an image: a registry, or "oci:FOLDER[:TAG]" and
// "oci-archive:FILE[:TAG]" for image layouts on this host.
import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { openForeign } from "../../kernel/file/foreign-file.ts";
import { mortal } from "../../kernel/syscall/mortal.ts";
import { requireReference, resolveReference } from "../../oci/reference.ts";
import { Stage } from "../image/stage.ts";
import { unpackTar } from "../image/unpack-tar.ts";
import { log } from "../program/log.ts";
import { readChunks } from "../stream/archive.ts";
import { OciRegistry } from "./registry.ts";
import { layoutSource, type OciSource, registrySource } from "./source.ts";

const LAYOUT = /^oci:(.+?)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?$/;
const ARCHIVE = /^oci-archive:(.+?)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?$/;
/** The maximum content of an archive; layers have the same limit, unpacked. */
const ARCHIVE_LIMIT_BYTES = 64 * 1024 ** 3;

/** Whether a reference names something on this host. */
export function isLocalReference(reference: string): boolean {
  return LAYOUT.test(reference) || ARCHIVE.test(reference);
}

interface OpenedSource extends Disposable {
  readonly source: OciSource;
}

/** Opens the source of a reference. An archive is unpacked below `root`; disposing of the result removes that. */
export async function openSource(reference: string, root: Fd): Promise<OpenedSource> {
  const layout = LAYOUT.exec(reference);
  if (layout !== null) {
    const folder = mortal(() => openPath(layout[1] ?? "", "directory"));
    return { source: layoutSource(folder, reference, layout[2] ?? null), [Symbol.dispose]: () => folder.close() };
  }
  const packed = ARCHIVE.exec(reference);
  if (packed !== null) return openArchive(packed[1] ?? "", reference, packed[2] ?? null, root);
  const named = requireReference(reference);
  const address = await resolveReference(named);
  if (named.registry === null) {
    const separator = named.digest === null ? ":" : "@";
    log(
      "info",
      `The full name of '${reference}' is '${address.registry}/${address.image}${separator}${address.version}'.`,
    );
  }
  const registry = new OciRegistry(address);
  return { source: registrySource(registry), [Symbol.dispose]: () => {} };
}

/** Opens an image layout in a tar archive, which is unpacked beside the images and removed afterwards. */
async function openArchive(path: string, reference: string, tag: string | null, root: Fd): Promise<OpenedSource> {
  const stage = await Stage.tree(root, "oci", false).filledBy(async (tree) => {
    using file = (await openForeign(path, "follow")).file;
    await unpackTar(readChunks(file), tree, { refuseDevices: true }, ARCHIVE_LIMIT_BYTES);
  });
  return { source: layoutSource(stage.file, reference, tag), [Symbol.dispose]: () => stage[Symbol.dispose]() };
}
