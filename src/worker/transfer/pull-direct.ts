// Downloads that are written in place: to a directory, a file, a block device, or standard output (--direct).
import { constants, openSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { Fd, statFd } from "../../kernel/file/fd.ts";
import { InPlace } from "../image/in-place.ts";
import { liftOsTree } from "../image/os-tree.ts";
import { lockInPlace, lockTree } from "../image/read-only.ts";
import { openDirectTree, unpackOptions, unpackTar } from "../image/unpack-tar.ts";
import { writeOut } from "../image/write-out.ts";
import { writeRaw } from "../image/write-raw.ts";
import type { WorkerOptions } from "../program/options.ts";
import { type Chunks, limited } from "../stream/archive.ts";
import { decompress } from "../stream/compression.ts";
import { writeStream } from "../stream/write-chunks.ts";
import { setLength } from "../untar/calls.ts";

export interface DirectTarget extends Disposable {
  /** Writes the downloaded file, decompressed and unpacked, to the target. */
  write(source: Chunks, limitBytes: number): Promise<void>;
}

/** Returns the target of a direct download. A relative path is below the directory of images. */
export function directTarget(
  local: string | null,
  root: string,
  kind: "tar" | "raw",
  options: WorkerOptions,
): DirectTarget {
  if (local === null) {
    if (kind === "tar") throw new ErrnoError("EINVAL", "A tree cannot be written to standard output.");
    return stdout();
  }
  const path = isAbsolute(local) ? local : join(root, local);
  return kind === "tar" ? tree(path, options) : disk(path, options);
}

function stdout(): DirectTarget {
  const file = Fd.inherited(1);
  return {
    write: (source, limitBytes) => writeStream(limited(decompress(source), limitBytes), file),
    [Symbol.dispose]: () => {},
  };
}

function tree(path: string, options: WorkerOptions): DirectTarget {
  const top = openDirectTree(path, options);
  return {
    write: async (source, limitBytes) => {
      await unpackTar(source, top.fd, unpackOptions(options), limitBytes);
      liftOsTree(top.fd);
      if (options.sync) writeOut(top.fd, "all");
      if (options.readOnly) lockTree(top.fd);
    },
    [Symbol.dispose]: () => top[Symbol.dispose](),
  };
}

const FILE_MODE = 0o644;
const IN_PLACE_FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;

/** Opens a file or block device to be written in place, locked; a file that is missing is made. */
export function openInPlace(path: string, { locks }: WorkerOptions): InPlace {
  return InPlace.open(locks, path, () => openFile(path));
}

function openFile(path: string): Fd {
  const target = Fd.adopt(openSync(path, IN_PLACE_FLAGS, FILE_MODE));
  const { kind } = statFd(target);
  if (kind === "regular" || kind === "block") return target;
  target.close();
  throw new ErrnoError("EBADFD", `Target '${path}' is neither a regular file nor a block device.`);
}

/**
 * Ends an image of `size` bytes that was written in place: cuts off what a longer file had behind it. With an offset
 * the image is a part of the file, whose other parts stay.
 */
export function cutRest(file: Fd, size: number, { offset }: Pick<WorkerOptions, "offset">): void {
  if (offset === null && size > 0 && statFd(file).kind === "regular") setLength(file, size);
}

function disk(path: string, options: WorkerOptions): DirectTarget {
  const place = openInPlace(path, options);
  const file = place.fd;
  return {
    write: async (source, limitBytes) => {
      const sizeMax = options.sizeMax ?? limitBytes;
      const target = { file, offset: options.offset ?? 0, sizeMax, sparse: false };
      cutRest(file, await writeRaw(decompress(source), target, limitBytes), options);
      if (options.sync) writeOut(file, "file");
      if (options.readOnly) lockInPlace(file);
    },
    [Symbol.dispose]: () => place[Symbol.dispose](),
  };
}
