// Copying a tree in a child process of our own, which is killed with us: the copy itself never looks up from its work.
import { ErrnoError } from "../../base/error.ts";
import { formatBytes } from "../../base/format.ts";
import { Fd } from "../../kernel/file/fd.ts";
import { type Child, spawnSelf } from "../../kernel/process/spawn.ts";
import { copyTree } from "../../kernel/tree/copy.ts";
import { abandonWithUs, requireWanted } from "../program/abandon.ts";
import { log } from "../program/log.ts";

const PROGRAM = "systemd-import-fs";
/** The argument that only we give: descriptors 3 and 4 are the tree and its copy. */
const INHERITED = "--copy-inherited";
/** Behind it: a file that is gone when its turn comes makes the copy fail. */
const WHOLE = "--whole";
const [SOURCE_FD, TARGET_FD] = [3, 4];
const LOG_INTERVAL_MS = 1000;
const SIGKILL = 9;
/** A child that was killed ends at once, unless its file system does not answer: then its copy is left to the sweep. */
const LAST_WAIT_MS = 20_000;

/** Whether the source is held, so that nothing may go missing in it, or in use by others, who may remove files meanwhile. */
export type SourceState = "held" | "live";

/** Copies the content and the properties of the directory `source` to the empty directory `target`. */
export async function copyInChild(source: Fd, target: Fd, state: SourceState): Promise<void> {
  const env = Object.fromEntries(
    ["SYSTEMD_LOG_TARGET", "SYSTEMD_LOG_LEVEL"].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
  requireWanted();
  const child = spawnSelf(PROGRAM, state === "held" ? [INHERITED, WHOLE] : [INHERITED], {
    fds: { [SOURCE_FD]: source, [TARGET_FD]: target },
    env,
    signalWithParent: SIGKILL,
  });
  // Abandoned before the copy is, so that nothing is written to it while it is removed.
  const registration = abandonWithUs({ [Symbol.dispose]: () => end(child) });
  try {
    const { code, signal } = await child.exited;
    if (code !== 0) throw new ErrnoError("EIO", `Failed to copy the tree (${signal ?? `exit code ${code}`})`);
  } finally {
    registration.settled();
    child.pidRef?.[Symbol.dispose]();
  }
  requireWanted();
}

/** Kills the child and waits until it is gone. */
function end(child: Child): void {
  child.kill(SIGKILL);
  if (child.pidRef?.waitExit(LAST_WAIT_MS) === false) log("warning", `Process ${child.pid} does not end.`);
}

/** Does the copy, when this is the child; gives its exit code. Null when it is not. */
export function copyInherited(args: readonly string[]): number | null {
  if (args[0] !== INHERITED) return null;
  let next = performance.now() + LOG_INTERVAL_MS;
  try {
    copyTree(Fd.inherited(SOURCE_FD), Fd.inherited(TARGET_FD), {
      isWhole: args[1] === WHOLE,
      onProgress: ({ files, bytes }) => {
        if (performance.now() < next) return;
        next = performance.now() + LOG_INTERVAL_MS;
        log("info", `Copied ${files} files, ${formatBytes(BigInt(bytes))}.`);
      },
      onLoss: (path, what) => log("warning", `Not all of '${path}' can be kept here: ${what.join(", ")}`),
    });
    return 0;
  } catch (error) {
    log("err", error instanceof Error ? error.message : String(error));
    return 1;
  }
}
