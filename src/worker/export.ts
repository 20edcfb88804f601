// systemd-export tar|raw IMAGE [FILE]: an image becomes a file, compressed or not (systemd-importd.service(8)). A file that
// is given by name appears whole or not at all; standard output is the caller's business.

import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { isatty } from "node:tty";
import { ErrnoError } from "../base/error.ts";
import { isSubvolume, setSubvolumeReadOnly, snapshotSubvolume } from "../kernel/btrfs.ts";
import { shareData } from "../kernel/copy-file.ts";
import { Fd, openPath, statFd } from "../kernel/fd.ts";
import { pathOf } from "../kernel/file-attributes.ts";
import { SyscallError, trySys } from "../kernel/sys.ts";
import { openDirectory } from "../kernel/tree.ts";
import { isImageName } from "../registry/image.ts";
import { type Chunks, readChunks, Turns } from "./archive.ts";
import { writeStream } from "./archive-stream.ts";
import { type Compression, compress, compressionOfName, requireCompression } from "./compression.ts";
import { log } from "./import-log.ts";
import type { CommandLine, WorkerOptions } from "./import-options.ts";
import { copyOrigin, copyRaw, writeSparse } from "./import-raw.ts";
import { entryOf } from "./import-run.ts";
import { findImage, imageRootOf } from "./import-target.ts";
import { Stage } from "./install-image.ts";
import { Progress } from "./progress.ts";
import { tarChunks } from "./tar.ts";
import { setLength } from "./untar-calls.ts";

const FILE_MODE = 0o644;

/** The path of an image by name, or the path that was given. */
function pathOfImage(given: string, options: WorkerOptions): string {
  if (isImageName(given)) {
    const image = findImage(given, options);
    if (image === null) throw new ErrnoError("ENOENT", `Image ${given} not found.`);
    return image.path;
  }
  return isAbsolute(given) ? given : join(imageRootOf(options), given);
}

/** Where an export goes. */
interface Output {
  readonly file: Fd;
  /** Gives a named file its name. */
  done(): void;
  [Symbol.dispose](): void;
}

function openOutput(path: string | undefined, kind: "tar" | "raw"): Output {
  if (path === undefined || path === "" || path === "-") {
    const file = Fd.inherited(1);
    if (kind === "tar" && isatty(1)) throw new ErrnoError("EINVAL", "Refusing to write archive to TTY.");
    // The descriptor stays open: nobody else must get the number 1.
    return { file, done: () => {}, [Symbol.dispose]: () => {} };
  }
  const full = resolve(path);
  const directory = openPath(dirname(full), "directory");
  const stage = Stage.file(directory, "export", FILE_MODE);
  return {
    file: stage.file,
    done: () => stage.install(basename(full), { force: true, readOnly: false, sync: false }),
    [Symbol.dispose]: () => {
      stage[Symbol.dispose]();
      directory.close();
    },
  };
}

/** The path that was given, or what a client's descriptor is. */
function nameOfOutput(path: string | undefined, { file }: Output): string {
  return path === undefined || path === "" || path === "-" ? pathOf(file) : path;
}

function compressionOf(options: WorkerOptions, path: string | undefined): Compression {
  if (options.format !== null && options.format !== "") return requireCompression(options.format);
  return compressionOfName(path ?? "");
}

async function* counted(source: Iterable<Buffer> | Chunks, total: number): AsyncGenerator<Buffer> {
  const progress = new Progress((percent) => `Exported ${percent}%.`);
  const turns = new Turns();
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (total > 0) progress.report((bytes / total) * 100);
    await turns.pass();
    yield chunk;
  }
}

async function exportTar({ options, words }: CommandLine): Promise<void> {
  const [name = "", path] = words;
  const image = pathOfImage(name, options);
  const compression = compressionOf(options, path);
  using output = openOutput(path, "tar");
  using live = openPath(image, "directory");
  using frozen = freeze(live, image);
  log("info", `Exporting '${image}', saving to '${nameOfOutput(path, output)}' with compression '${compression}'.`);
  const tree = frozen?.file ?? live;
  await writeStream(compress(counted(tarChunks(tree), 0), compression), output.file);
  output.done();
}

/** A snapshot of a subvolume, so that the archive shows one moment; null where there can be none. */
function freeze(tree: Fd, path: string): Stage | null {
  if (!isSubvolume(tree)) return null;
  try {
    const parent = openPath(dirname(path), "directory");
    const stage = Stage.made(parent, "export", (name) => {
      snapshotSubvolume(tree, parent, name);
      return openDirectory(parent, name);
    });
    setSubvolumeReadOnly(stage.file, true);
    return stage;
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    log("warning", `Cannot take a snapshot of '${path}', exporting it as it is: ${error.message}`);
    return null;
  }
}

async function exportRaw({ options, words }: CommandLine): Promise<void> {
  const [name = "", path] = words;
  const image = pathOfImage(name, options);
  const compression = compressionOf(options, path);
  using source = openPath(image, "read");
  const { kind, size } = statFd(source);
  if (kind !== "regular")
    throw new ErrnoError(kind === "directory" ? "EISDIR" : "EBADFD", `'${image}' is not a regular file.`);
  using output = openOutput(path, "raw");
  log("info", `Exporting '${image}', saving to '${nameOfOutput(path, output)}' with compression '${compression}'.`);
  const isFile = statFd(output.file).kind === "regular";
  if (compression === "uncompressed" && isFile) await copyOut(source, output.file, size);
  else await writeStream(compress(counted(readChunks(source), size), compression), output.file);
  if (isFile) copyOrigin(source, output.file);
  output.done();
}

/** Shares the data where that is possible, keeps holes where the file is empty so far, and writes on where it is not. */
async function copyOut(source: Fd, target: Fd, size: number): Promise<void> {
  const [SEEK_CUR] = [1];
  const at = trySys("lseek", target.number, 0, SEEK_CUR);
  if (at === 0 && statFd(target).size === 0) return copyRaw(source, target);
  if (at !== 0) return writeStream(counted(readChunks(source), size), target);
  setLength(target, 0);
  if (shareData(source, target) === "shared") return;
  let position = 0;
  for await (const chunk of counted(readChunks(source), size)) {
    writeSparse(target, chunk, position);
    position += chunk.length;
  }
  setLength(target, size);
}

/** Runs the program; gives its exit code. */
export const main = entryOf({
  name: "systemd-export",
  summary: "Export container or virtual machine images.",
  verbs: {
    tar: { words: [1, 2], usage: "NAME [FILE]", help: "Export a TAR image", run: exportTar },
    raw: { words: [1, 2], usage: "NAME [FILE]", help: "Export a RAW image", run: exportRaw },
  },
});
