// `machinectl shell` and `login` for machines of all kinds. As in the original, the daemon opens the terminal by means
// of the machine's message bus. In a machine without a bus, the command is run as by `exec`; in a virtual machine, over
// ssh.

import { machineFacts } from "../machine/details.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { login } from "../terminal/login.ts";
import { parseSpecification, shell } from "../terminal/shell.ts";
import { runOne } from "./exec.ts";
import { SSH_FAILED } from "./order.ts";

const HOST = ".host";
/**
 * Messages of failed calls that open the terminal. Other errors are mistakes of the caller, for which nothing else is
 * tried.
 */
const REFUSED = /^Failed to (get (login|shell) PTY|reach the service manager of )/;
const NO_BUS = /There is no system bus in container |Failed to reach the service manager of /;
/** Starts the user's shell as login shell. exec sets $SHELL from the machine's user database. */
const LOGIN_SHELL = '[ -x "$SHELL" ] && exec "$SHELL" -l; exec /bin/sh -l';
const LOGIN = [
  "/bin/sh",
  "-c",
  `command -v login >/dev/null && exec login; command -v busybox >/dev/null && exec busybox login; echo "The machine has no login program: 'machinectl shell NAME' and 'machinectl exec -t NAME COMMAND' need none" >&2; exit 127`,
];

/** Runs the command as `exec` does, on a terminal if standard input is one. */
async function onTerminal(session: Session, machine: string, user: string, command: readonly string[]) {
  // Without a terminal on standard input, the command has the standard streams of this client.
  session.settings.tty = session.ports.isTty(0);
  return runOne(session, { machine, user, command });
}

/**
 * Calls `usual`. If that fails because the machine has no bus or is a virtual machine, calls `other` with whether it is
 * a virtual machine. Returns the exit status.
 */
async function withFallback(
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

/**
 * The verb `shell`. Returns 0 whatever the exit status of the program is, unless --wait-status was given; 1 if ssh(1)
 * does not reach a virtual machine.
 */
export function shellAnywhere(session: Session, words: readonly string[]): Promise<number> {
  const [specification = "", path = "", ...args] = words;
  const at = specification.lastIndexOf("@");
  const machine = specification.slice(at + 1) || HOST;
  return withFallback(
    session,
    machine,
    () => shell(session, words),
    async (isVirtual) => {
      const { user } = parseSpecification(specification, session.settings);
      const interactive = isVirtual ? [] : ["/bin/sh", "-c", LOGIN_SHELL];
      const status = await onTerminal(session, machine, user, path === "" ? interactive : [path, ...args]);
      if (session.settings.waitStatus) return status;
      // ssh(1) has said why. A program that returns this status itself cannot be told apart.
      return isVirtual && status === SSH_FAILED ? 1 : 0;
    },
  );
}

/** The verb `login`. */
export function loginAnywhere(session: Session, words: readonly string[]): Promise<number> {
  const machine = words[0] || HOST;
  return withFallback(
    session,
    machine,
    () => login(session, words),
    (isVirtual) => onTerminal(session, machine, "", isVirtual ? [] : LOGIN),
  );
}
