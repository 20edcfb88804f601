// Closes sockets that other processes sent, without blocking. The last close(2) of a socket may wait for its peer
// (SO_LINGER in socket(7)), and that of a unix socket closes all descriptors in its queue; an exiting process does not
// wait. So the sockets are sent to a child, which does not receive them; closing them here then is not the last close,
// and the queue is destroyed when the child exits. Clearing SO_LINGER instead would change the sender's socket, which
// is the same.
import type { Fd } from "../file/fd.ts";
import { openPipe } from "../process/pipe.ts";
import { spawnSelf } from "../process/spawn.ts";
import { trySys } from "../syscall/sys.ts";
import { socketPair } from "./pair.ts";
import { sendNumber } from "./send.ts";

/** How many sockets fit into a socket's buffer, with one message each. */
export const SOCKETS_PER_CHILD = 128;
/**
 * The child's program: waits for the end of its standard input, which this process closes when the child alone has the
 * queue.
 */
const SHELL = { executable: "/bin/sh", args: ["-c", "read _"] };

interface Closing {
  /**
   * Descriptors that were not closed and that the caller still owns: too deeply nested sockets, or all, where no child
   * could be started.
   */
  readonly left: readonly number[];
  /** Resolves when the child has ended. */
  readonly gone: Promise<unknown>;
}

/** Closes the sockets `numbers`, at most SOCKETS_PER_CHILD, without blocking. */
export function closeInChild(numbers: readonly number[]): Closing {
  let ours: Fd;
  let theirs: Fd;
  try {
    [ours, theirs] = socketPair();
  } catch {
    return { left: numbers, gone: Promise.resolve() };
  }
  const left = numbers.filter((number) => !sendNumber(ours, number));
  for (const number of numbers) if (!left.includes(number)) trySys("close", number);
  try {
    return { left, gone: startChild(ours, theirs) };
  } catch {
    ours.close();
    return { left: [...left, theirs.take()], gone: Promise.resolve() };
  }
}

/** Starts the child with `theirs`, in whose queue the sockets are, and closes our ends; the child then exits. */
function startChild(ours: Fd, theirs: Fd): Promise<unknown> {
  const [read, write] = openPipe();
  using _read = read;
  using _write = write;
  const streams = { stdin: read, stdout: "ignore", stderr: "ignore" } as const;
  const child = spawnSelf("sh", SHELL.args, { executable: SHELL.executable, fds: { 3: theirs }, ...streams });
  child.pidRef?.[Symbol.dispose]();
  theirs.close();
  ours.close();
  return child.exited;
}
