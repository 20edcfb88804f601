// `machinectl shell` and `login` in any machine: through its message bus where it has one, as the original does; by the road
// of exec where it has none; over ssh in virtual machines.

import { type MachineFacts, machineFacts } from "../machine/details.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { login } from "../terminal/login.ts";
import { parseSpecification, shell } from "../terminal/shell.ts";
import { runOne } from "./exec.ts";

const HOST = ".host";
const NO_BUS = /There is no system bus in container /;
/** $SHELL is what the machine's user database has, or /bin/sh. */
const LOGIN_SHELL = '[ -x "$SHELL" ] && exec "$SHELL" -l; exec /bin/sh -l';
const LOGIN = ["/bin/sh", "-c", "command -v login >/dev/null && exec login; exec busybox login"];

/** Null for machines that the manager does not know: the original's messages say so. */
async function factsOf(session: Session, machine: string): Promise<MachineFacts | null> {
  if (machine === HOST || session.settings.transport.kind !== "local") return null;
  return machineFacts(session, machine).catch(() => null);
}

async function onTerminal(session: Session, machine: string, user: string, command: readonly string[]) {
  // Without a terminal of ours the command gets none either, and its streams are ours.
  session.settings.tty = session.ports.isTty(0);
  return runOne(session, { machine, user, command });
}

/** Runs the usual way; where the machine turns out to have no bus, the other one. */
async function orWithoutBus(usual: () => Promise<number>, other: () => Promise<number>): Promise<number> {
  try {
    return await usual();
  } catch (error) {
    if (!(error instanceof Failure) || !NO_BUS.test(error.message)) throw error;
    return other();
  }
}

/** The verb `shell`. Exits 0 whatever the program did, unless its status was asked for. */
export async function shellAnywhere(session: Session, words: readonly string[]): Promise<number> {
  const [specification = "", path = "", ...args] = words;
  const { user, machine } = parseSpecification(specification, session.settings);
  const facts = await factsOf(session, machine);
  const other = async () => {
    const isVirtual = facts?.class === "vm";
    const interactive = isVirtual ? [] : ["/bin/sh", "-c", LOGIN_SHELL];
    const status = await onTerminal(session, machine, user, path === "" ? interactive : [path, ...args]);
    return session.settings.waitStatus ? status : 0;
  };
  return facts?.class === "vm" ? other() : orWithoutBus(() => shell(session, words), other);
}

/** The verb `login`. */
export async function loginAnywhere(session: Session, words: readonly string[]): Promise<number> {
  const machine = words[0] || HOST;
  const facts = await factsOf(session, machine);
  if (facts?.class === "vm") return onTerminal(session, machine, "", []);
  return orWithoutBus(
    () => login(session, words),
    () => onTerminal(session, machine, "", LOGIN),
  );
}
