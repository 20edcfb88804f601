// `machinectl shell`: runs a shell or a program in a machine, on the caller's terminal or with pipes (machinectl(1),
// "shell").
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { Settings } from "../session/settings.ts";
import { runTerminal, terminalEnvironment } from "./session-verb.ts";

/** Parses `[USER@]NAME`. An empty name means this host. Throws a Failure for `@NAME`. */
export function parseSpecification(text: string, settings: Pick<Settings, "uid">): { user: string; machine: string } {
  const at = text.indexOf("@");
  if (at === 0) throw new Failure("Failed to parse machine specification: Invalid argument");
  if (at < 0) return { user: settings.uid, machine: text || ".host" };
  return { user: text.slice(0, at), machine: text.slice(at + 1) || ".host" };
}

/** Returns assignments, each variable once. Those of --setenv= override those that describe the terminal. */
function environmentOf(session: Session): string[] {
  const all = [...terminalEnvironment(session.terminal, session.ports.env), ...session.settings.environment];
  return [...new Map(all.map((assignment) => [assignment.split("=")[0], assignment])).values()];
}

/** The verb `shell`. Returns 0 whatever the exit status of the program is, unless --wait-status was given. */
export async function shell(session: Session, words: readonly string[]): Promise<number> {
  const [specification = "", path = "", ...args] = words;
  const { user, machine } = parseSpecification(specification, session.settings);
  const argv = args.length === 0 ? [] : [path, ...args];
  const follower = session.settings.waitStatus ? await follow(session, machine) : null;
  const request = { name: machine, user, path, args: argv };
  const open = () => session.manager("OpenMachineShell", { ...request, environment: environmentOf(session) });
  const { status } = await runTerminal(session, { machine, kind: "shell", runsProgram: path !== "", open }, (tty) =>
    follower?.opened(tty),
  );
  return follower === null || status !== 0 ? status : follower.result();
}

async function follow(session: Session, machine: string) {
  return (await import("./shell-status.ts")).ShellStatus.follow(session, machine);
}
