// Copies a tree in a child process, which is killed with this one: the copy is synchronous and could not be cancelled
// here.

import { writeSync } from "node:fs";
import { compileAsUsual } from "../../base/compiler.ts";
import { ErrnoError } from "../../base/error.ts";
import { formatBytes } from "../../base/text/format.ts";
import { causeOf } from "../../base/text/signal-cause.ts";
import { readSome } from "../../kernel/file/byte-io.ts";
import { Fd } from "../../kernel/file/fd.ts";
import { openPipe } from "../../kernel/process/pipe.ts";
import { type Child, spawnSelf } from "../../kernel/process/spawn.ts";
import { type CopyProgress, copyTree } from "../../kernel/tree/copy.ts";
import { rawOf } from "../../kernel/tree/tree.ts";
import { abandonWithUs, requireWanted } from "../program/abandon.ts";
import { entryCost, transferBudget } from "../program/budget.ts";
import { log } from "../program/log.ts";
import { attributeLoss, Losses } from "../untar/losses.ts";

const PROGRAM = "systemd-import-fs";
/**
 * An argument for internal use: descriptors 3 and 4 are the tree and its copy. The two arguments after it are the
 * transfer's use of its budget so far; the child writes the use at its end to descriptor 5.
 */
const INHERITED = "--copy-inherited";
/** A further argument: a file of the source that is missing when it is copied makes the copy fail. */
const WHOLE = "--whole";
const [SOURCE_FD, TARGET_FD, USED_FD] = [3, 4, 5];
const LOG_INTERVAL_MS = 1000;
const SIGKILL = 9;
/**
 * How long a killed child may take to end. Where its file system does not answer, a later clean-up removes its copy.
 */
const LAST_WAIT_MS = 20_000;

/**
 * Whether the source is locked, so that no file may be missing, or in use by others, who may remove files meanwhile.
 */
type SourceState = "held" | "live";

/** Copies the content and the properties of the directory `source` to the empty directory `target`. */
export async function copyInChild(source: Fd, target: Fd, state: SourceState): Promise<void> {
  const env = Object.fromEntries(
    ["SYSTEMD_LOG_TARGET", "SYSTEMD_LOG_LEVEL"].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
  requireWanted();
  const [used, tellUsed] = openPipe();
  using _used = used;
  using _tellUsed = tellUsed;
  const { written, entries } = transferBudget;
  const args = [INHERITED, String(written), String(entries), ...(state === "held" ? [WHOLE] : [])];
  const child = spawnSelf(PROGRAM, args, {
    fds: { [SOURCE_FD]: source, [TARGET_FD]: target, [USED_FD]: tellUsed },
    env,
    signalWithParent: SIGKILL,
  });
  // Clean-ups run in reverse order of registration: the child is killed before the stage of the copy, which the caller
  // registered, is removed.
  const registration = abandonWithUs({ [Symbol.dispose]: () => end(child) });
  try {
    const { code, signal } = await child.exited;
    if (signal !== null)
      throw new ErrnoError("EIO", `The process that copied the tree was ended by ${causeOf(signal)}`);
    if (code !== 0) throw new ErrnoError("EIO", `Failed to copy the tree (exit code ${code})`);
    countUsed(readSome(used));
  } finally {
    registration.settled();
    child.pidRef?.[Symbol.dispose]();
  }
  requireWanted();
}

/** Adds the child's use of the budget to that of this process. */
function countUsed(told: Buffer | null): void {
  const [written, entries] = (told?.toString() ?? "").split(" ").map(Number);
  if (!written || !entries) return;
  transferBudget.add(written - transferBudget.written, entries - transferBudget.entries);
}

/** Kills the child and waits for its end. */
function end(child: Child): void {
  child.kill(SIGKILL);
  if (child.pidRef?.waitExit(LAST_WAIT_MS) === false) log("warning", `Process ${child.pid} does not end.`);
}

/** Makes the copy where this process is the child; returns its exit code. Returns null in other processes. */
export function copyInherited(args: readonly string[]): number | null {
  if (args[0] !== INHERITED) return null;
  compileAsUsual();
  const [, written, entries, whole] = args;
  let next = performance.now() + LOG_INTERVAL_MS;
  const losses = new Losses();
  const count = counter(Fd.inherited(TARGET_FD), Number(written), Number(entries));
  try {
    const copied = copyTree(Fd.inherited(SOURCE_FD), Fd.inherited(TARGET_FD), {
      isWhole: whole === WHOLE,
      onProgress: (progress) => {
        count(progress);
        const { files, bytes } = progress;
        if (performance.now() < next) return;
        next = performance.now() + LOG_INTERVAL_MS;
        log("info", `Copied ${files} files, ${formatBytes(BigInt(bytes))}.`);
      },
      onLoss: (path, what) => {
        for (const name of what) losses.note(attributeLoss(name), rawOf(path));
      },
    });
    count(copied);
    losses.report();
    writeSync(USED_FD, `${transferBudget.written} ${transferBudget.entries}`);
    return 0;
  } catch (error) {
    log("err", error instanceof Error ? error.message : String(error));
    return 1;
  }
}

/** Counts the progress of a copy against the budget of its transfer. */
function counter(target: Fd, written: number, entries: number): (progress: CopyProgress) => void {
  transferBudget.add(written, entries);
  const part = transferBudget.part(target);
  const before = { files: 0, bytes: 0 };
  return ({ files, bytes }) => {
    for (; before.files < files; before.files++) part.entered(entryCost("regular", []));
    part.wrote(bytes - before.bytes);
    before.bytes = bytes;
  };
}
