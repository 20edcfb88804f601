// `machinectl exec -t`: the command has a terminal of the machine, which is forwarded to ours.
import type { EnterRequest } from "../../exec/enter.ts";
import { type RunningCommand, startCommand } from "../../exec/run.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { SocketStream } from "../../kernel/socket/stream.ts";
import { socketPair } from "../../kernel/socket/unix.ts";
import type { Session } from "../session/session.ts";
import { PtySession } from "../terminal/pty-forward.ts";
import { ownSize } from "../terminal/pty-terminal.ts";

/**
 * The master that comes through `socket`, which it closes; null where the command ended before it had a terminal. Rejects with the
 * reason of a command that was refused: others may have the socket's other end for longer than that.
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

/** Runs the command on a terminal; returns its exit status, or the session's where a signal ended it. */
export function execOnTerminal(session: Session, request: EnterRequest): Promise<number> {
  return forwardTerminal(session, (socket) => {
    using own = socket;
    return startCommand({ ...request, terminalSize: ownSize(session.ports.env) }, [own, own, own]);
  });
}

/**
 * Starts a command with the socket that its terminal is to come through, which is given away, and forwards the terminal to ours
 * until one of the two ends.
 */
export async function forwardTerminal(session: Session, start: (socket: Fd) => RunningCommand): Promise<number> {
  const [ours, theirs] = socketPair();
  using own = ours;
  const command = start(theirs);
  const master = await receiveTerminal(own, command);
  if (master === null) return command.exited;
  const forward = new PtySession({ master, hangup: "ends", env: session.ports.env, finish: () => {} });
  const { end, status } = await forward.run();
  // Leaving the session hangs up, as closing a terminal does.
  if (end !== "hangup") command.kill(1);
  const exited = await command.exited;
  return status !== 0 ? status : exited;
}
