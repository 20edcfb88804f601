// `machinectl shell` and `login` in any machine: through its message bus where it has one, as the original does; as `exec`
// does where it has none; over ssh in virtual machines.

import { machineFacts } from "../machine/details.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { login } from "../terminal/login.ts";
import { parseSpecification, shell } from "../terminal/shell.ts";
import { runOne } from "./exec.ts";

const HOST = ".host";
/** The terminal was asked for and refused; everything before that is the caller's mistake. */
const REFUSED = /^Failed to (get (login|shell) PTY|reach the service manager of )/;
const NO_BUS = /There is no system bus in container |Failed to reach the service manager of /;
/** $SHELL is what the machine's user database has, or /bin/sh. */
const LOGIN_SHELL = '[ -x "$SHELL" ] && exec "$SHELL" -l; exec /bin/sh -l';
const LOGIN = ["/bin/sh", "-c", "command -v login >/dev/null && exec login; exec busybox login"];

async function onTerminal(session: Session, machine: string, user: string, command: readonly string[]) {
  // Without a terminal of ours the command gets none either, and its streams are ours.
  session.settings.tty = session.ports.isTty(0);
  return runOne(session, { machine, user, command });
}

/** Runs the usual way; where the machine turns out to have no bus, or to be a virtual one, the other way. */
async function orOtherwise(
  session: Session,
  machine: string,
  usual: () => Promise<number>,
  other: (isVirtual: boolean) => Promise<number>,
): Promise<number> {
  try {
    return await usual();
  } catch (error) {
    const isRefused = error instanceof Failure && REFUSED.test(error.message);
    if (!isRefused || machine === HOST || session.settings.transport.kind !== "local") throw error;
    if (NO_BUS.test(error.message)) return await other(false);
    const facts = await machineFacts(session, machine).catch(() => null);
    if (facts?.class !== "vm") throw error;
    return await other(true);
  }
}

/** The verb `shell`. Exits 0 whatever the program did, unless its status was asked for. */
export function shellAnywhere(session: Session, words: readonly string[]): Promise<number> {
  const [specification = "", path = "", ...args] = words;
  const at = specification.lastIndexOf("@");
  const machine = specification.slice(at + 1) || HOST;
  return orOtherwise(
    session,
    machine,
    () => shell(session, words),
    async (isVirtual) => {
      const { user } = parseSpecification(specification, session.settings);
      const interactive = isVirtual ? [] : ["/bin/sh", "-c", LOGIN_SHELL];
      const status = await onTerminal(session, machine, user, path === "" ? interactive : [path, ...args]);
      return session.settings.waitStatus ? status : 0;
    },
  );
}

/** The verb `login`. */
export function loginAnywhere(session: Session, words: readonly string[]): Promise<number> {
  const machine = words[0] || HOST;
  return orOtherwise(
    session,
    machine,
    () => login(session, words),
    (isVirtual) => onTerminal(session, machine, "", isVirtual ? [] : LOGIN),
  );
}
