// The guard of `machinectl register NAME COMMAND`: a process that ends the command and unregisters the machine where
// machinectl is killed (SIGKILL, no memory) and can do neither. Otherwise the command would run on, and its machine
// would stay registered after it in a unit with other processes.
//
// Until then the guard is a shell that waits at a pipe; it becomes `machinectl register-end` at the pipe's end. It is
// in a session of its own, because ^C and SIGKILL to the process group must not reach it.
import { unlessNoProcess } from "../../base/absence.ts";
import { writeSome } from "../../kernel/file/byte-io.ts";
import { Fd, setNonblocking } from "../../kernel/file/fd.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { openPipe } from "../../kernel/process/pipe.ts";
import { commandByPath } from "../../kernel/process/spawn.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { SIGTERM } from "../format/signals.ts";
import { orNull } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { machineFacts } from "./details.ts";
import { unregisterOf } from "./registration.ts";

/** The guard's descriptors: the pipe, and a pidfd of the command. */
const [PIPE_FD, COMMAND_FD] = [3, 4];
const NORMAL_END = "end";

/** The pipe carries a line with the leader, another one when it changes, and one for the normal end. */
const SCRIPT = `while read -r word <&${PIPE_FD}; do
  [ "$word" = ${NORMAL_END} ] && exit
  leader=$word
done
exec "$@" "$leader"`;

/** A running guard. */
export interface RegisterGuard {
  /** Tells the guard that the machine has another leader now. */
  setLeader(pid: number): void;
  /** Ends the guard, because machinectl itself has seen the end of the command. */
  end(): Promise<void>;
}

/** Starts the guard of a command that is to be the leader of the machine `name`. */
export function startGuard(session: Session, name: string, command: PidRef): RegisterGuard {
  const [wait, tell] = openPipe();
  setNonblocking(wait, "off");
  const scope = session.settings.scope === "user" ? ["--user"] : [];
  const words = commandByPath("machinectl", ["register-end", ...scope, "--no-ask-password", name]);
  const child = Bun.spawn(["/bin/sh", "-c", SCRIPT, "machinectl-register", ...words], {
    stdio: ["ignore", "ignore", "ignore", wait.number, command.pidfd?.number ?? "ignore"],
    detached: true,
  });
  wait.close();
  const say = (line: string | number) => {
    try {
      writeSome(tell, Buffer.from(`${line}\n`));
    } catch (error) {
      // The guard was killed: the command is none the worse for it.
      if (!isErrno(error, "EPIPE")) throw error;
    }
  };
  say(command.pid);
  return {
    setLeader: say,
    async end() {
      say(NORMAL_END);
      tell.close();
      await child.exited;
    },
  };
}

/** Calls `signal` and resolves when the process has ended. */
async function untilEnd(process: PidRef, signal: () => void = () => {}): Promise<void> {
  const ended = new Promise<void>((resolve) => process.onExit(resolve));
  unlessNoProcess(signal, null);
  await ended;
}

/** Whether the process is the leader of the machine `name`. */
async function isLeader(session: Session, name: string, process: PidRef): Promise<boolean> {
  return (await orNull(machineFacts(session, name)))?.leaderPid === process.pid;
}

/**
 * The verb `register-end` of the guard: sends SIGTERM to the command, whose pidfd it has inherited, waits for its end
 * and that of a leader that has replaced it, and unregisters the machine.
 */
export async function registerEnd(session: Session, [name = "", pid = ""]: readonly string[]): Promise<number> {
  using command = unlessNoProcess(() => PidRef.fromPidFd(Fd.inherited(COMMAND_FD)), null);
  if (command !== null) await untilEnd(command, () => command.kill(SIGTERM));
  using leader = unlessNoProcess(() => PidRef.of(Number(pid)), null);
  if (leader !== null && (await isLeader(session, name, leader))) await untilEnd(leader);
  await unregisterOf(session, name, Number(pid));
  return 0;
}
