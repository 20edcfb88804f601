// From a reference on the command line to the source of an image: a registry, or "oci:FOLDER[:TAG]" and
// "oci-archive:FILE[:TAG]" for image layouts on this host.
import { type Fd, openPath, statPath } from "../../kernel/file/fd.ts";
import { openForeign } from "../../kernel/file/foreign-file.ts";
import { mortal } from "../../kernel/syscall/mortal.ts";
import { unlessSyscallError } from "../../kernel/syscall/sys.ts";
import { requireReference, resolveReference } from "../../oci/reference.ts";
import { Stage } from "../image/stage.ts";
import { unpackTar } from "../image/unpack-tar.ts";
import { log } from "../program/log.ts";
import { readChunks } from "../stream/archive.ts";
import { OciRegistry } from "./registry.ts";
import { layoutSource, type OciSource, registrySource } from "./source.ts";

const LOCAL = /^(oci|oci-archive):(.+)$/;
/** The maximum content of an archive; layers have the same limit, unpacked. */
const ARCHIVE_LIMIT_BYTES = 64 * 1024 ** 3;

/** Whether a reference names something on this host. */
export function isLocalReference(reference: string): boolean {
  return LOCAL.test(reference);
}

/** A path on this host, and the name of an image there. */
interface Place {
  readonly path: string;
  readonly tag: string | null;
}

/**
 * Splits `PATH[:NAME]`. Both may contain colons: the longest path that exists is taken. Where there is none, the name
 * is what follows the last colon, if it may be a tag.
 */
function placeOf(text: string): Place {
  for (let end = text.length; end > 0; end = text.lastIndexOf(":", end - 1)) {
    const path = text.slice(0, end);
    if (isThere(path)) return { path, tag: end === text.length ? null : text.slice(end + 1) };
  }
  const [, path = text, tag = null] = /^(.+?)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?$/.exec(text) ?? [];
  return { path, tag };
}

function isThere(path: string): boolean {
  return unlessSyscallError(() => mortal(() => statPath(path)), null) !== null;
}

interface OpenedSource extends Disposable {
  readonly source: OciSource;
}

/** Opens the source of a reference. An archive is unpacked below `root`; disposing of the result removes that. */
export async function openSource(reference: string, root: Fd): Promise<OpenedSource> {
  const [, kind, rest = ""] = LOCAL.exec(reference) ?? [];
  if (kind === "oci-archive") return openArchive(placeOf(rest), reference, root);
  if (kind === "oci") {
    const { path, tag } = placeOf(rest);
    using owner = new DisposableStack();
    const folder = owner.use(mortal(() => openPath(path, "directory")));
    return owned(layoutSource(folder, reference, tag), owner);
  }
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
async function openArchive({ path, tag }: Place, reference: string, root: Fd): Promise<OpenedSource> {
  using owner = new DisposableStack();
  const stage = await Stage.tree(root, "oci", false).filledBy(async (tree) => {
    using file = (await openForeign(path, "follow")).file;
    await unpackTar(readChunks(file), tree, { refuseDevices: true }, ARCHIVE_LIMIT_BYTES);
  });
  owner.use(stage);
  return owned(layoutSource(stage.file, reference, tag), owner);
}

/** Moves what a source needs from `owner` to the result. */
function owned(source: OciSource, owner: DisposableStack): OpenedSource {
  const held = owner.move();
  return { source, [Symbol.dispose]: () => held.dispose() };
}
