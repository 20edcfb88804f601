// Closing sockets that other processes sent. The last close(2) of a socket may linger for its peer (SO_LINGER in socket(7)),
// and that of a unix socket closes what is on its way through it. A process that exits lingers for nobody: the sockets
// are put on their way to a child, which never receives them, are closed here (which is not the last time then), and go
// with the child, which exits at once. Their options, which the sender shares, stay as they are.
import type { Fd } from "../file/fd.ts";
import { openPipe } from "../process/pipe.ts";
import { spawnSelf } from "../process/spawn.ts";
import { trySys } from "../syscall/sys.ts";
import { socketPair } from "./pair.ts";
import { sendNumber } from "./send.ts";

/** As many as fit into a socket's buffer, one message each. */
export const SOCKETS_PER_CHILD = 128;
/** Reads until the end of its standard input, which comes when it alone has the socket. */
const SHELL = { executable: "/bin/sh", args: ["-c", "read _"] };

interface Closing {
  /** Descriptors that are the caller's still: sockets within sockets within sockets, or whatever there is when no child can be had. */
  readonly left: readonly number[];
  /** Resolves when the child is gone. */
  readonly gone: Promise<unknown>;
}

/** Closes the sockets `numbers`, at most 128, without waiting; those that it returns are not closed. */
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

/** The child has `theirs`, with the sockets on their way to it, and ends when it alone has it. */
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
