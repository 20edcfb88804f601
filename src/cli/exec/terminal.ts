// `machinectl exec -t`: the command runs on a pseudo terminal of the machine, which is forwarded to the caller's
// terminal.
import type { EnterRequest } from "../../exec/enter.ts";
import { type RunningCommand, startCommand } from "../../exec/run.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { SocketStream } from "../../kernel/socket/stream.ts";
import { socketPair } from "../../kernel/socket/unix.ts";
import type { Session } from "../session/session.ts";
import { PtySession, requireWritten } from "../terminal/pty-forward.ts";
import { ownSize } from "../terminal/pty-terminal.ts";

const SIGHUP = 1;
const BY_SIGNAL = 128;
/** How long to wait for the end of a command whose terminal the caller has left: it may ignore SIGHUP, or hang. */
const LEFT_MS = 2000;

/** Ends a command that the caller has left; returns its exit status, or that of SIGHUP where it goes on. */
async function leave(command: RunningCommand): Promise<number> {
  command.kill(SIGHUP);
  const late = Promise.withResolvers<number>();
  const timer = setTimeout(() => late.resolve(BY_SIGNAL + SIGHUP), LEFT_MS);
  try {
    return await Promise.race([command.exited, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Receives the master of the terminal from `socket`, and closes the socket. Returns null if the command ended before it
 * had a terminal. Rejects as soon as the command is refused; the end of the socket is not enough for that, because
 * other processes may still have its other end open.
 */
function receiveTerminal(socket: Fd, { exited }: RunningCommand): Promise<Fd | null> {
  const { promise, resolve, reject } = Promise.withResolvers<Fd | null>();
  const stream = new SocketStream(
    socket,
    {
      data: (_bytes, fds) => {
        resolve(fds[0] ?? null);
        stream.close();
      },
      end: () => resolve(null),
    },
    { takesDescriptors: 1 },
  );
  exited.catch((error: unknown) => {
    stream.close();
    reject(error);
  });
  return promise;
}

/**
 * Runs the command on a terminal; returns its exit status, or 128 plus the number of the signal that ended the session.
 */
export function execOnTerminal(session: Session, request: EnterRequest): Promise<number> {
  return forwardTerminal(session, (socket) => {
    using own = socket;
    return startCommand({ ...request, terminalSize: ownSize(session.ports.env) }, [own, own, own]);
  });
}

/**
 * Calls `start` with a socket, which it owns, to start a command that sends the master of its terminal through the
 * socket; forwards the terminal to the caller's until the command or the caller's terminal ends. Returns the exit
 * status as `execOnTerminal()` does. Throws a Failure where the output could not be written.
 */
export async function forwardTerminal(session: Session, start: (socket: Fd) => RunningCommand): Promise<number> {
  const [ours, theirs] = socketPair();
  using own = ours;
  const command = start(theirs);
  const master = await receiveTerminal(own, command);
  if (master === null) return command.exited;
  const forward = new PtySession({ master, hangup: "ends", env: session.ports.env, finish: () => {} });
  const result = await forward.run();
  // If the caller leaves the session, the command gets SIGHUP, as after the end of a terminal.
  const exited = await (result.end === "hangup" ? command.exited : leave(command));
  requireWritten(result);
  return result.status !== 0 ? result.status : exited;
}
