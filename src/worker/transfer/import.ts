// systemd-import tar|raw FILE [NAME]: makes an image of a file or of standard input (systemd-importd.service(8)).

import { constants, readSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import { Fd, kindOfFd, openPath, statFd } from "../../kernel/file/fd.ts";
import { attemptOn } from "../../kernel/file/foreign-answer.ts";
import { mortal } from "../../kernel/syscall/mortal.ts";
import { sys } from "../../kernel/syscall/sys.ts";
import { requireDisk } from "../image/disk-format.ts";
import { convertQcow2, isQcow2 } from "../image/qcow2.ts";
import { lockInPlace, lockTree } from "../image/read-only.ts";
import { Reservation } from "../image/reservation.ts";
import { openImageRoot, Stage } from "../image/stage.ts";
import { directPath, imageRootOf, nameOfFile, requireFree, requireName, requireTreeName } from "../image/target.ts";
import { importTree, openDirectTree } from "../image/unpack-tar.ts";
import { writeOut } from "../image/write-out.ts";
import { copyOrigin, copyRaw, type RawTarget, writeRaw } from "../image/write-raw.ts";
import { log } from "../program/log.ts";
import type { CommandLine, WorkerOptions } from "../program/options.ts";
import { Progress } from "../program/progress.ts";
import { type Chunks, readChunks } from "../stream/archive.ts";
import { decompress, detectCompression, MAGIC_BYTES } from "../stream/compression.ts";
import { cutRest, openInPlace } from "./pull-direct.ts";
import { sweepOrphans } from "./remove-orphans.ts";
import { entryOf } from "./run-program.ts";

const UNNAMED = "imported";
/** The maximum size of an image. It limits what a small compressed file can expand to. */
const RAW_LIMIT_BYTES = 16 * 1024 ** 4;

interface Input {
  readonly file: Fd;
  /** The number of bytes from the offset on; null for pipes. */
  readonly size: number | null;
}

function openInput(path: string | undefined): Input {
  // The caller's file may be on a file system that does not answer.
  return mortal(() => {
    const file = path === undefined || path === "-" ? Fd.inherited(0) : openPath(path, "read");
    const kind = kindOfFd(file);
    if (kind !== "regular" && kind !== "fifo" && kind !== "socket" && kind !== "block") {
      throw new ErrnoError("EINVAL", "Image to import is no file, block device, pipe or socket.");
    }
    return { file, size: kind === "regular" ? statFd(file).size : null };
  });
}

/** Waits for a writer of a fifo, as open(2) does on another thread; until there is one, a read would return its end. */
async function waitForWriter(file: Fd): Promise<void> {
  const opened = await open(`/proc/self/fd/${file.number}`, constants.O_RDONLY | constants.O_NOCTTY);
  await opened.close();
}

/** Opens the input of an import and returns it with the name of the image; logs both. */
async function begin({ options, words }: CommandLine, kind: "tar" | "raw"): Promise<{ input: Input; name: string }> {
  const [path, given] = words;
  const hasFile = path !== undefined && path !== "-" && path !== "";
  const derived = hasFile ? nameOfFile(basename(path), kind) : UNNAMED;
  const name = given !== undefined && given !== "" && given !== "-" ? given : derived;
  if (!options.direct) {
    if (kind === "tar") requireTreeName(name);
    else requireName(name);
    requireFree(name, options);
  }
  const input = openInput(hasFile ? path : undefined);
  log("info", `Importing '${hasFile ? path : pathOf(input.file)}', saving as '${name}'.`);
  if (hasFile && kindOfFd(input.file) === "fifo") await waitForWriter(input.file);
  return { input, name };
}

function inputProgress({ size }: Input): (total: number) => void {
  const progress = new Progress((percent) => `Imported ${percent}%.`);
  progress.stage(0);
  return (total) => {
    if (size !== null && size > 0) progress.report((total / size) * 100);
  };
}

async function importTar(line: CommandLine): Promise<void> {
  const { options } = line;
  const { input, name } = await begin(line, "tar");
  const source = readChunks(input.file, inputProgress(input));
  if (options.direct) return importTarDirect(source, directPath(name, options), options);
  using root = openImageRoot(imageRootOf(options));
  sweepOrphans(root, options.locks);
  using _reserved = new Reservation(root, name, "", options);
  using stage = Stage.tree(root, "tar", options.btrfsSubvolume);
  await importTree(source, stage.file, options);
  stage.install(name, options);
}

async function importTarDirect(source: Chunks, path: string, options: WorkerOptions): Promise<void> {
  using tree = openDirectTree(path, options);
  await importTree(source, tree.fd, options);
  if (options.sync) writeOut(tree.fd, "all");
  if (options.readOnly) lockTree(tree.fd);
}

async function importRaw(line: CommandLine): Promise<void> {
  const { options } = line;
  const { input, name } = await begin(line, "raw");
  if (options.direct) return importRawDirect(input, directPath(name, options), options);
  using root = openImageRoot(imageRootOf(options));
  sweepOrphans(root, options.locks);
  using _reserved = new Reservation(root, name, ".raw", options);
  using stage = await stageRaw(input, root, options);
  if (input.size !== null) attemptOn(input.file)(() => copyOrigin(input.file, stage.file));
  stage.install(`${name}.raw`, options);
}

const RAW_MODE = 0o644;

/** Makes the image as a new raw file under a hidden name. */
async function stageRaw(input: Input, root: Fd, options: WorkerOptions): Promise<Stage> {
  if (isPlain(input) && options.convertQcow2 && isQcow2(input.file)) return converted(input.file, root);
  let isPacked = false;
  const stage = await Stage.file(root, "raw", RAW_MODE).filledBy(async (file) => {
    await copyInput(input, file);
    requireDisk(file);
    isPacked = options.convertQcow2 && isQcow2(file);
  });
  if (!isPacked) return stage;
  using packed = stage;
  return await converted(packed.file, root);
}

async function copyInput(input: Input, file: Fd): Promise<void> {
  if (isPlain(input)) {
    attemptOn(input.file)(() => requireDisk(input.file));
    return copyRaw(input.file, file, inputProgress(input));
  }
  const target: RawTarget = { file, offset: 0, sizeMax: RAW_LIMIT_BYTES, sparse: true };
  await writeRaw(decompress(readChunks(input.file, inputProgress(input))), target);
}

function converted(packed: Fd, root: Fd): Promise<Stage> {
  log("info", "Unpacking QCOW2 file.");
  return Stage.file(root, "raw", RAW_MODE).filledBy((raw) => convertQcow2(packed, raw));
}

/** Whether the input can be copied as it is: a file that is not compressed, from its beginning. */
function isPlain({ file, size }: Input): boolean {
  if (size === null) return false;
  const [SEEK_CUR] = [1];
  if (sys("lseek", file.number, 0, SEEK_CUR) !== 0) return false;
  const head = Buffer.alloc(MAGIC_BYTES);
  const count = attemptOn(file)(() => readSync(file.number, head, 0, MAGIC_BYTES, 0));
  return detectCompression(head.subarray(0, count)) === "uncompressed";
}

async function importRawDirect(input: Input, path: string, options: WorkerOptions): Promise<void> {
  using target = openInPlace(path, options);
  const source = decompress(readChunks(input.file, inputProgress(input)));
  const [offset, sizeMax] = [options.offset ?? 0, options.sizeMax ?? RAW_LIMIT_BYTES];
  cutRest(target.fd, await writeRaw(source, { file: target.fd, offset, sizeMax, sparse: false }), options);
  if (options.sync) writeOut(target.fd, "file");
  if (options.readOnly) lockInPlace(target.fd);
}

/** Runs the program; returns its exit code. */
export const main = entryOf({
  name: "systemd-import",
  summary: "Import container or virtual machine images.",
  verbs: {
    tar: { words: [1, 2], usage: "FILE [NAME]", help: "Import a TAR image", run: importTar },
    raw: { words: [1, 2], usage: "FILE [NAME]", help: "Import a RAW image", run: importRaw },
  },
});
