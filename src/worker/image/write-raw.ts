// `systemd-import raw`: a disk image, compressed or not, raw or qcow2, becomes a sparse raw file.
import { writeSync } from "node:fs";
import { ErrnoError } from "../../base/error.ts";
import {
  attributeNames,
  createdUsec,
  getAttribute,
  noteCreated,
  pathOf,
  setAttribute,
} from "../../kernel/file/attributes.ts";
import { type Fd, statFd } from "../../kernel/file/fd.ts";
import { type Attempt, attemptOn } from "../../kernel/file/foreign-answer.ts";
import { SyscallError, trySys, unlessSyscallError } from "../../kernel/syscall/sys.ts";
import { dataSteps, shareSteps } from "../../kernel/tree/copy-file.ts";
import { type SpaceLimits, transferBudget } from "../program/budget.ts";
import { type Chunks, workerTurns } from "../stream/archive.ts";
import { giveBack } from "../stream/chunk-memory.ts";
import { setFileTime, setLength } from "../untar/calls.ts";

const ZERO_STEP = 4096;
const ZERO_LARGE = 64 << 10;
const ZEROS = Buffer.alloc(ZERO_LARGE);

export interface RawTarget {
  readonly file: Fd;
  /** The offset of the image in the file. */
  readonly offset: number;
  /** The maximum size of the image. */
  readonly sizeMax: number;
  /** Whether zeros are not written: the file is new, and unwritten parts read as zeros. */
  readonly sparse: boolean;
}

function isZero(chunk: Buffer, from: number, to: number): boolean {
  return chunk[from] === 0 && chunk[to - 1] === 0 && chunk.subarray(from, to).equals(ZEROS.subarray(0, to - from));
}

/** Returns the length of the zeros from `at` on, in whole steps. */
function zerosEnd(chunk: Buffer, at: number): number {
  let end = at;
  while (end < chunk.length) {
    const large = Math.min(end + ZERO_LARGE, chunk.length);
    if (isZero(chunk, end, large)) {
      end = large;
      continue;
    }
    const small = Math.min(end + ZERO_STEP, chunk.length);
    if (!isZero(chunk, end, small)) return end;
    end = small;
  }
  return end;
}

function dataEnd(chunk: Buffer, at: number): number {
  let end = at;
  while (end < chunk.length && !isZero(chunk, end, Math.min(end + ZERO_STEP, chunk.length))) {
    end = Math.min(end + ZERO_STEP, chunk.length);
  }
  return end;
}

function writeAt(file: Fd, chunk: Buffer, from: number, to: number, position: number): void {
  for (let at = from; at < to; ) at += writeSync(file.number, chunk, at, to - at, position + at - from);
}

/** Writes `chunk` where it belongs, leaving out blocks of zeros; returns the bytes that were written. */
export function writeSparse(file: Fd, chunk: Buffer, position: number): number {
  let written = 0;
  for (let at = 0; at < chunk.length; ) {
    const zeros = zerosEnd(chunk, at);
    const data = dataEnd(chunk, zeros);
    if (data > zeros) writeAt(file, chunk, zeros, data, position + zeros);
    written += data - zeros;
    at = data;
  }
  return written;
}

/** Writes the content of an image; returns its size. Throws EFBIG when it is larger than allowed. */
export async function writeRaw(
  source: Chunks,
  target: RawTarget,
  limitBytes = Number.POSITIVE_INFINITY,
): Promise<number> {
  const guard = transferBudget.part(target.file, { limitBytes });
  const turns = workerTurns();
  let size = 0;
  for await (const chunk of source) {
    if (size + chunk.length > Math.min(target.sizeMax, limitBytes)) {
      throw new ErrnoError("EFBIG", "File overly large, refusing.");
    }
    const position = target.offset + size;
    if (target.sparse) guard.wrote(writeSparse(target.file, chunk, position));
    else {
      writeAt(target.file, chunk, 0, chunk.length, position);
      guard.wrote(chunk.length);
    }
    size += chunk.length;
    giveBack(chunk);
    await turns.pass();
  }
  if (target.sparse) setLength(target.file, target.offset + size);
  return size;
}

/** How many bytes are copied at a time: between two steps signals are handled and progress is reported. */
const COPY_STEP_BYTES = 8 << 20;
const SHARE_STEP_BYTES = 1 << 30;

/**
 * Copies the regular file `source` to the new file `target`, sharing its data where that is possible. `onReached` is
 * called with the progress. Throws EIO where the source becomes shorter meanwhile.
 */
export async function copyRaw(
  source: Fd,
  target: Fd,
  onReached: (bytes: number) => void,
  limits: SpaceLimits = {},
): Promise<void> {
  const attempt = attemptOn(source, target);
  const { size, blocks } = attempt(() => statFd(source));
  const spending = transferBudget.part(target, limits);
  const sharing = shareSteps(source, target, size, SHARE_STEP_BYTES);
  if ((await eachStep(sharing, attempt, onReached)) === "shared") return;
  // Holes of the source stay holes.
  const before = trySys("lseek", source.number, 0, 1);
  const steps = dataSteps(source, target, { size, allocatedBytes: blocks * 512 }, COPY_STEP_BYTES);
  await eachStep(steps, attempt, ({ copied, reached }) => {
    spending.wrote(copied);
    onReached(reached);
  });
  if (before >= 0) trySys("lseek", source.number, before, 0);
  if (attempt(() => statFd(source)).size < size)
    throw new ErrnoError("EIO", `'${pathOf(source)}' became shorter while it was copied.`);
}

/** Runs all steps, handles signals between them, and returns the result of the last one. */
async function eachStep<Step, Result>(
  steps: Generator<Step, Result>,
  attempt: Attempt,
  onStep: (step: Step) => void,
): Promise<Result> {
  const turns = workerTurns();
  for (;;) {
    const step = attempt(() => steps.next());
    if (step.done === true) return step.value;
    onStep(step.value);
    await turns.pass();
  }
}

const USER = "user.";

const SECOND_NS = 1_000_000_000n;

/**
 * Copies times and user attributes to a copy; those that the file system does not support are left out, and those that
 * this user may not set: the target of an export may be another user's file.
 */
export function copyOrigin(source: Fd, target: Fd): void {
  const { mtimeNs } = statFd(source);
  const created = createdUsec(source);
  try {
    for (const name of attributeNames(source)) {
      const value = name.startsWith(USER) ? getAttribute(source, name) : null;
      if (value !== null) setAttribute(target, name, value);
    }
    if (created !== null) noteCreated(target, created);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
  // The kernel's nanoseconds are never negative, also before 1970.
  const nanoseconds = ((mtimeNs % SECOND_NS) + SECOND_NS) % SECOND_NS;
  const seconds = (mtimeNs - nanoseconds) / SECOND_NS;
  unlessSyscallError(() => setFileTime(target, Number(seconds), Number(nanoseconds)), undefined);
}
