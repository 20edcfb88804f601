// Finds the epoll(7) on which the engine's event loop waits. It is itself a descriptor that becomes readable when the
// loop has something to do, so that code which waits in a system call of its own can wait for the loop's events, too.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

const DIRECTORY = "/proc/self";

/**
 * Returns the number of the engine's epoll: the one that watches the descriptor `watched`, which the engine must have
 * been given (proc_pid_fdinfo(5), "tfd"). Null where /proc does not show it. The engine never closes it.
 */
export function engineEpollWith(watched: number): number | null {
  try {
    const line = new RegExp(`^tfd:\\s*${watched}\\s`, "m");
    for (const name of readdirSync(`${DIRECTORY}/fd`)) {
      if (!isEpoll(name)) continue;
      if (line.test(readFileSync(`${DIRECTORY}/fdinfo/${name}`, "latin1"))) return Number(name);
    }
  } catch {
    // Without /proc, or where no descriptor is left.
  }
  return null;
}

function isEpoll(name: string): boolean {
  try {
    return readlinkSync(`${DIRECTORY}/fd/${name}`) === "anon_inode:[eventpoll]";
  } catch {
    return false; // the directory itself, which is closed
  }
}
