// Requests to run a program in a machine: the checks of their parts, and the default program
// (org.freedesktop.machine1(5), OpenMachineShell()).
import { invalidArgument, MachinedError } from "../../base/error.ts";
import { isAbsolutePath } from "../../base/names.ts";
import type { ShellUnit } from "./shell-unit.ts";

export interface ShellRequest {
  /** "" for root. */
  readonly user: string;
  /** "" for the user's own shell, as a login shell. */
  readonly path: string;
  /** With the program's own name first; empty for that name alone. Ignored without a path. */
  readonly args: readonly string[];
  readonly environment: readonly string[];
}

const ENVIRONMENT_LIMIT = 16384;

/**
 * A script that runs the user's shell according to the machine's own user database: that of getent, or /etc/passwd
 * without getent. Where it names no shell for the user, the script runs /bin/sh.
 */
const LOGIN_SHELL = `entry=$(getent passwd "$1" 2>/dev/null) || while IFS= read -r line; do
  case $line in "$1":*) entry=$line; break;; esac
done </etc/passwd
shell=\${entry##*:}
[ -x "$shell" ] || shell=/bin/sh
exec "$shell" -l`;

/** Checks the user's name, which must be checked first; returns it. */
export function requestedUser(user: string): string {
  if (user === "") return "root";
  if (!isUserName(user)) throw invalidArgument("user", `Invalid user name '${user}'`);
  return user;
}

/** Checks the rest of a request. Throws InvalidArgs, LimitsExceeded. */
export function shellUnit(request: ShellRequest): ShellUnit {
  const { path, args, environment } = request;
  const user = requestedUser(request.user);
  if (path !== "" && !isAbsolutePath(path)) {
    throw invalidArgument("path", `Specified path '${path}' is not absolute`);
  }
  if (environment.length > ENVIRONMENT_LIMIT) {
    throw new MachinedError("LimitsExceeded", "Too many environment assignments in a single query.");
  }
  if (!isEnvironment(environment)) throw invalidArgument("environment", "Invalid environment assignments");
  if (path === "") return { user, program: loginShell(user), environment };
  return { user, program: { path, argv: args.length === 0 ? [path] : args }, environment };
}

function loginShell(user: string) {
  return { path: "/bin/sh", argv: ["sh", "-c", LOGIN_SHELL, "sh", user] };
}

/** Whether these are assignments to valid names of variables, each name once. */
function isEnvironment(assignments: readonly string[]): boolean {
  const names = assignments.map((assignment) => /^([A-Za-z_][A-Za-z0-9_]*)=/.exec(assignment)?.[1]);
  return !names.includes(undefined) && new Set(names).size === names.length && !assignments.some(hasNul);
}

function hasNul(text: string): boolean {
  return text.includes("\0");
}

const ID_MAX = 0xffff_ffff;

/**
 * Whether a text is a number, or a name that a user database can hold: systemd's relaxed rule (USER_NAMES in its
 * documentation).
 */
function isUserName(name: string): boolean {
  if (/^\d+$/.test(name)) return isUserId(name);
  const isDangerous = name.startsWith(" ") || name.endsWith(" ") || /[:/\p{Cc}]/u.test(name);
  return !isDangerous && !/^-\d*$/.test(name) && name !== "." && name !== ".." && Buffer.byteLength(name) < 256;
}

/** Whether a number is a valid id: 2^16-1 and 2^32-1 mean "none". */
function isUserId(digits: string): boolean {
  const id = Number(digits);
  return String(id) === digits && id < ID_MAX && id !== 0xffff;
}
