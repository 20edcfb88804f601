// The program machined-rsh: accepts the command line of ssh(1) and runs the command in a machine of this host, as
// `machinectl exec` does. It is for programs that can only use ssh, such as Ansible and rsync. The machine needs no SSH
// server.
import { type HelpText, helpWidth, layOutHelp } from "../../base/text/help-text.ts";
import { Failure } from "../session/failure.ts";
import { processPorts } from "../session/process-ports.ts";
import { Session } from "../session/session.ts";
import { defaultSettings } from "../session/settings.ts";
import { runOne } from "./exec.ts";
import { orExitOurs, SSH_FAILED } from "./order.ts";
import { parseSshCommandLine } from "./ssh-command-line.ts";

const USAGE = "usage: machined-rsh [-nt] [-l USER] [USER@]MACHINE COMMAND…";

const HELP: HelpText = {
  usage: "machined-rsh [OPTION…] [USER@]MACHINE COMMAND…",
  about: [
    "Runs a command in a machine of this host, with the command line of ssh(1), for programs that can only use ssh, such as Ansible and rsync. The machine needs no SSH server.",
  ],
  sections: [
    {
      entries: [
        ["-l USER", "the user to run the command as; root unless given"],
        ["-t", "give the command a terminal"],
        ["-n", "an empty standard input"],
        ["-o OPTION", "User=NAME is the same as -l NAME; others are ignored"],
        ["-h --help", "show this help"],
      ],
    },
  ],
  column: 15,
  notes: [
    "Other options of ssh are ignored. The exit status is that of the command, or 255 for errors of this program.",
  ],
};

/** Runs the program; returns its exit status. */
export async function main(args: readonly string[]): Promise<number> {
  const settings = defaultSettings();
  const session = new Session(settings, processPorts());
  // Only as the first word: further ones may belong to the command. ssh(1) has no option -h.
  if (args[0] === "--help" || args[0] === "-h") {
    session.output.write(layOutHelp(HELP, helpWidth(process.stdout, process.env)));
    await session.close();
    return 0;
  }
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
