// The program machined-rsh: accepts the command line of ssh(1) and runs the command in a machine of this host, as
// `machinectl exec` does. It is for programs that can only use ssh, such as Ansible and rsync. The machine needs no SSH
// server.
import { Failure } from "../session/failure.ts";
import { processPorts } from "../session/process-ports.ts";
import { Session } from "../session/session.ts";
import { defaultSettings } from "../session/settings.ts";
import { runOne } from "./exec.ts";
import { parseSshCommandLine } from "./ssh-command-line.ts";

/** The exit status for failures of the program itself, as in ssh(1). */
const EXIT_OURS = 255;

const USAGE = "usage: machined-rsh [-nt] [-l USER] [USER@]MACHINE COMMAND…";

/** Runs the program; returns its exit status. */
export async function main(args: readonly string[]): Promise<number> {
  const settings = defaultSettings();
  const session = new Session(settings, processPorts());
  try {
    const parsed = parseSshCommandLine(args);
    if (typeof parsed === "string") throw new Failure(`machined-rsh: ${parsed}\n${USAGE}`);
    const { user, host, command, wantsTerminal, readsInput } = parsed;
    // Only with a terminal is there a user who can type a password.
    Object.assign(settings, { tty: wantsTerminal, stdin: readsInput, askPassword: wantsTerminal });
    return await runOne(session, { machine: host, user, command: ["/bin/sh", "-c", command] });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    session.report.failure(error);
    return EXIT_OURS;
  } finally {
    await session.close();
  }
}
