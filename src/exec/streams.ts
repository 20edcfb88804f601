// The standard streams of a command that a caller sent with its call (io.machined.Exec): three descriptors, or for a terminal
// one, a socket through which its master is sent.
import { ErrnoError } from "../base/error.ts";
import { replaceStandard } from "../kernel/file/fd.ts";
import { type Left, receiveLeft } from "../kernel/socket/unix.ts";
import type { EnterRequest } from "./enter.ts";

/** The error of a call without the descriptors that it needs. */
export function noStreams(): ErrnoError {
  return new ErrnoError("EBADF", "Three descriptors go with this call: standard input, output and error");
}

/** Receives them as our descriptors 0 to 2; returns which terminal the command has. Throws an ErrnoError where it is another number of them. */
export function receiveStreams(left: Left, terminal: EnterRequest["terminal"]): EnterRequest["terminal"] {
  const received = receiveLeft(left, 3);
  const isOwn = terminal !== "none" && received.length === 1;
  const streams = isOwn ? [received[0], received[0], received[0]] : received;
  const [stdin, stdout, stderr] = streams;
  if (stdin === undefined || stdout === undefined || stderr === undefined) throw noStreams();
  // Executing the command closes what they were received as.
  for (const [number, stream] of [stdin, stdout, stderr].entries()) replaceStandard(number as 0 | 1 | 2, stream);
  return isOwn ? "own" : terminal;
}
