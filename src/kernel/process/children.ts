// The processes below a process, from /proc/PID/task/TID/children (proc(5)), and which of them is the init of a
// container.
import { readdirSync } from "node:fs";
import { errnoNameOf } from "../../base/error.ts";
import { sameNamespace } from "./namespace.ts";
import { processStatus, readProcess } from "./process-file.ts";

/** The maximum number of processes that are examined; a program that makes a container starts fewer. */
const LIMIT = 1000;

/**
 * Returns the children of all threads of a process; none where it has ended, or the kernel does not list them
 * (CONFIG_PROC_CHILDREN).
 */
export function processChildren(pid: number): number[] {
  const found = whileThere(() => readdirSync(`/proc/${pid}/task`)) ?? [];
  return found.flatMap((thread) => {
    const text = whileThere(() => readProcess(pid, `task/${thread}/children`).toString()) ?? "";
    return text.split(" ").map(Number).filter(Boolean);
  });
}

/**
 * Returns the first process below `pid`, the nearest ones first, that is process 1 of a PID namespace and has a mount
 * namespace of its own, as the init of a container has; null where there is none.
 */
export function containerInitBelow(pid: number): number | null {
  const queue = processChildren(pid);
  for (let i = 0; i < queue.length && i < LIMIT; i++) {
    const process = queue[i] as number;
    if (whileThere(() => isContainerInit(process)) === true) return process;
    queue.push(...processChildren(process));
  }
  return null;
}

/** Whether a process is process 1 of a PID namespace below ours, in a mount namespace that is not ours. */
function isContainerInit(pid: number): boolean {
  const numbers = processStatus(pid, "NSpid").split(/\s+/);
  return numbers.length > 1 && numbers.at(-1) === "1" && !sameNamespace(pid, "mnt");
}

/** Runs `look`; returns null for a process that has ended meanwhile. */
function whileThere<T>(look: () => T): T | null {
  try {
    return look();
  } catch (error) {
    if (["ESRCH", "ENOENT", "ENODATA"].includes(errnoNameOf(error) ?? "")) return null;
    throw error;
  }
}
