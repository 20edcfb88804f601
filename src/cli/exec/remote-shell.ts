// The program machined-rsh: accepts the command line of ssh(1) and runs the command in a machine of this host, as
// `machinectl exec` does. It is for programs that can only use ssh, such as Ansible and rsync. The machine needs no SSH
// server.
import { Failure } from "../session/failure.ts";
import { processPorts } from "../session/process-ports.ts";
import { Session } from "../session/session.ts";
import { defaultSettings } from "../session/settings.ts";
import { runOne } from "./exec.ts";
import { orExitOurs, SSH_FAILED } from "./order.ts";
import { parseSshCommandLine } from "./ssh-command-line.ts";

const USAGE = "usage: machined-rsh [-nt] [-l USER] [USER@]MACHINE COMMAND…";

/** Runs the program; returns its exit status. */
export async function main(args: readonly string[]): Promise<number> {
  const settings = defaultSettings();
  const session = new Session(settings, processPorts());
  const run = () => {
    const parsed = parseSshCommandLine(args);
    if (typeof parsed === "string") throw new Failure(`machined-rsh: ${parsed}\n${USAGE}`);
    const { user, host, command, wantsTerminal, readsInput } = parsed;
    // Only with a terminal is there a user who can type a password.
    Object.assign(settings, { tty: wantsTerminal, stdin: readsInput, askPassword: wantsTerminal });
    return runOne(session, { machine: host, user, command: ["/bin/sh", "-c", command] });
  };
  try {
    return await orExitOurs(session, run, SSH_FAILED);
  } finally {
    await session.close();
  }
}
