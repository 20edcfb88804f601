// systemd-export tar|raw IMAGE [FILE]: writes an image to a file, compressed or not (systemd-importd.service(8)). A
// file that is given by name appears complete or not at all. systemd-export oci IMAGE REF: push-oci.ts.

import { ErrnoError } from "../../base/error.ts";
import { type Compression, compressionOfName } from "../../base/vocabulary/compression.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import { type Fd, openPath, statFd } from "../../kernel/file/fd.ts";
import { appends } from "../../kernel/file/flags.ts";
import { trySys } from "../../kernel/syscall/sys.ts";
import { copyOrigin, copyRaw } from "../image/write-raw.ts";
import { log } from "../program/log.ts";
import type { CommandLine, WorkerOptions } from "../program/options.ts";
import { Progress } from "../program/progress.ts";
import { type Chunks, readChunks, workerTurns } from "../stream/archive.ts";
import { compress, requireCompression } from "../stream/compression.ts";
import { writeStream } from "../stream/write-chunks.ts";
import { tarChunks } from "../tar/pack.ts";
import { setLength } from "../untar/calls.ts";
import { type Output, openOutput } from "./export-output.ts";
import { HeldTree, pathOfImage } from "./export-source.ts";
import { pushOci } from "./push-oci.ts";
import { entryOf } from "./run-program.ts";

/** Returns the given path, or that of a client's descriptor. */
function nameOfOutput(path: string | undefined, { file }: Output): string {
  return path === undefined || path === "" || path === "-" ? pathOf(file) : path;
}

function compressionOf(options: WorkerOptions, path: string | undefined): Compression {
  if (options.format !== null && options.format !== "") return requireCompression(options.format);
  return compressionOfName(path ?? "");
}

/** Reports the progress of an export. */
function exportProgress(total: number): (bytes: number) => void {
  const progress = new Progress((percent) => `Exported ${percent}%.`);
  return (bytes) => {
    if (total > 0) progress.report((bytes / total) * 100);
  };
}

async function* counted(source: Iterable<Buffer> | Chunks, total: number): AsyncGenerator<Buffer> {
  const report = exportProgress(total);
  const turns = workerTurns();
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    report(bytes);
    await turns.pass();
    // Empty chunks are pauses of the packer.
    if (chunk.length > 0) yield chunk;
  }
}

async function exportTar({ options, words }: CommandLine): Promise<void> {
  const [name = "", path] = words;
  const image = pathOfImage(name, options);
  const compression = compressionOf(options, path);
  using output = await openOutput(path, "tar");
  using tree = HeldTree.open(image);
  log("info", `Exporting '${image}', saving to '${nameOfOutput(path, output)}' with compression '${compression}'.`);
  await writeStream(compress(counted(tarChunks(tree.file), 0), compression), output.file);
  tree.requireThere();
  output.done();
}

async function exportRaw({ options, words }: CommandLine): Promise<void> {
  const [name = "", path] = words;
  const image = pathOfImage(name, options);
  const compression = compressionOf(options, path);
  using source = openPath(image, "read");
  const { kind, size } = statFd(source);
  if (kind !== "regular")
    throw new ErrnoError(kind === "directory" ? "EISDIR" : "EBADFD", `'${image}' is not a regular file.`);
  using output = await openOutput(path, "raw", source);
  log("info", `Exporting '${image}', saving to '${nameOfOutput(path, output)}' with compression '${compression}'.`);
  const isFile = statFd(output.file).kind === "regular";
  if (compression === "uncompressed" && isFile) await copyOut(source, output.file, size);
  else await writeStream(compress(counted(readChunks(source), size), compression), output.file);
  if (isFile) copyOrigin(source, output.file);
  output.done();
}

/**
 * Replaces the content from the beginning, sharing data where possible; continues at the offset where that is not 0,
 * and at the end of a file that was opened for appending.
 */
async function copyOut(source: Fd, target: Fd, size: number): Promise<void> {
  const [SEEK_CUR] = [1];
  const at = trySys("lseek", target.number, 0, SEEK_CUR);
  if (at !== 0 || appends(target)) return writeStream(counted(readChunks(source), size), target);
  if (statFd(target).size > 0) setLength(target, 0);
  // No space is kept free on the target's disk: it may be a removable disk for this one file.
  await copyRaw(source, target, exportProgress(size), { reserveBytes: 0 });
}

/** Runs the program; returns its exit code. */
export const main = entryOf({
  name: "systemd-export",
  summary: "Export container or virtual machine images.",
  verbs: {
    tar: { words: [1, 2], usage: "NAME [FILE]", help: "Export a TAR image", run: exportTar },
    raw: { words: [1, 2], usage: "NAME [FILE]", help: "Export a RAW image", run: exportRaw },
    oci: { words: [2, 2], usage: "NAME REF", help: "Push a tree to an OCI registry", run: pushOci },
  },
});
