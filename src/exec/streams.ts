// The standard streams that a caller sends with a call of io.machined.Exec.Run: three descriptors; or, for a new
// terminal, one socket, through which the terminal's master is sent back.
import { ErrnoError } from "../base/error.ts";
import { replaceStandard } from "../kernel/file/fd.ts";
import { type Left, receiveLeft } from "../kernel/socket/unix.ts";
import type { EnterRequest } from "./enter.ts";

/** Returns the error for a call without the needed descriptors. */
export function noStreams(): ErrnoError {
  return new ErrnoError("EBADF", "This call needs three descriptors: standard input, output and error");
}

/**
 * Receives the streams as our descriptors 0 to 2. Returns which terminal the command has; throws EBADF for a wrong
 * number of them.
 */
export function receiveStreams(left: Left, terminal: EnterRequest["terminal"]): EnterRequest["terminal"] {
  const received = receiveLeft(left, 3);
  const isOwn = terminal !== "none" && received.length === 1;
  const streams = isOwn ? [received[0], received[0], received[0]] : received;
  const [stdin, stdout, stderr] = streams;
  if (stdin === undefined || stdout === undefined || stderr === undefined) throw noStreams();
  // The received descriptors themselves are close-on-exec.
  for (const [number, stream] of [stdin, stdout, stderr].entries()) replaceStandard(number as 0 | 1 | 2, stream);
  return isOwn ? "own" : terminal;
}
