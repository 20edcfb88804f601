// Copying a tree in a child process of our own, which is killed with us: the copy itself never looks up from its work.
import { ErrnoError } from "../base/error.ts";
import { formatBytes } from "../base/format.ts";
import { copyTree } from "../kernel/copy.ts";
import { Fd } from "../kernel/fd.ts";
import { dieWithParent } from "../kernel/parent-death.ts";
import { spawnSelf } from "../kernel/spawn.ts";
import { log } from "./import-log.ts";

const PROGRAM = "systemd-import-fs";
/** The argument that only we give: descriptors 3 and 4 are the tree and its copy. */
const INHERITED = "--copy-inherited";
const [SOURCE_FD, TARGET_FD] = [3, 4];
const LOG_INTERVAL_MS = 1000;

/** Copies the content and the properties of the directory `source` to the empty directory `target`. */
export async function copyInChild(source: Fd, target: Fd): Promise<void> {
  const env = Object.fromEntries(
    ["SYSTEMD_LOG_TARGET", "SYSTEMD_LOG_LEVEL"].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const child = spawnSelf(PROGRAM, [INHERITED], { fds: { [SOURCE_FD]: source, [TARGET_FD]: target }, env });
  const end = () => child.kill(9);
  process.on("exit", end);
  const { code, signal } = await child.exited;
  process.off("exit", end);
  child.pidRef?.[Symbol.dispose]();
  if (code !== 0) throw new ErrnoError("EIO", `Failed to copy the tree (${signal ?? `exit code ${code}`})`);
}

/** Does the copy, when this is the child; gives its exit code. Null when it is not. */
export function copyInherited(args: readonly string[]): number | null {
  if (args[0] !== INHERITED) return null;
  dieWithParent();
  let next = performance.now() + LOG_INTERVAL_MS;
  try {
    copyTree(Fd.inherited(SOURCE_FD), Fd.inherited(TARGET_FD), {
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
