// Requests to agents, which are checked here before they are carried out, and the answers to them.
import { isMachineName } from "../base/names.ts";
import { OUTPUT_MODES, type OutputMode } from "../base/vocabulary/output-mode.ts";
import { SCOPES, type Scope } from "./names.ts";

/** The verbs of each scope. */
const VERBS: Readonly<Record<Scope, readonly string[]>> = {
  read: ["list", "status", "stats", "wait"],
  lifecycle: ["start", "poweroff", "reboot", "terminate"],
  exec: ["run"],
};

/** The form of the answer: text for people, JSON, or the cells of a list. */
const FORMS = ["text", "json", "cells"] as const;
type Form = (typeof FORMS)[number];

/** Which columns `stats` prints. */
const COLUMNS = ["usual", "all"] as const;

const WAIT_CONDITIONS = ["running", "booted", "address", "ssh", "ended"] as const;

/** A checked request. */
export interface FleetRequest {
  readonly scope: Scope;
  readonly verb: string;
  /** Names of machines; none means all, where a verb takes that. */
  readonly machines: readonly string[];
  readonly form: Form;
  readonly columns: (typeof COLUMNS)[number];
  /** Journal entries of `status`, and their form. */
  readonly lines: number;
  readonly output: OutputMode;
  /** The condition of `wait`. */
  readonly until: (typeof WAIT_CONDITIONS)[number];
  readonly timeoutMs: number;
  /** Whether `start` and `wait` leave out why they failed. */
  readonly quiet: boolean;
  readonly runner: "nspawn" | "vmspawn";
  /** The command of the scope `exec`, and its arguments. */
  readonly command: readonly string[];
  readonly user: string;
}

/** The answer of an agent. */
export interface FleetAnswer {
  /** The exit status of the verb. */
  readonly status: number;
  readonly output: string;
  /** The verb's standard error, or why the request was refused. */
  readonly error: string;
}

/** A request that is refused. The message says why. */
export class Refused extends Error {
  override readonly name = "Refused";
}

/**
 * The header of the pieces of a command's output: `stdout`, `stderr`, `alive`, or `end` with the status in the payload.
 */
export const PIECE_HEADER = "Machined-Piece";

export const MOST_REQUEST_BYTES = 64 << 10;
const MOST_MACHINES = 256;
const MOST_WORDS = 1024;
const MOST_LINES = 1000;
/** The longest time limit of one `wait` request, after which callers send the next one. */
export const MOST_WAIT_MS = 20_000;
/** The longest time limit of a command. */
const MOST_EXEC_MS = 24 * 3600_000;

type Fields = Readonly<Record<string, unknown>>;

function parsed(payload: string): Fields {
  if (payload === "") return {};
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    throw new Refused("The request is not JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new Refused("The request is not a JSON object");
  return value as Fields;
}

function texts(fields: Fields, key: string, most: number): string[] {
  const value = fields[key] ?? [];
  if (!Array.isArray(value) || value.length > most || !value.every((one) => typeof one === "string"))
    throw new Refused(`'${key}' must be an array of at most ${most} strings`);
  return value as string[];
}

function choice<T extends string>(fields: Fields, key: string, choices: readonly T[], usual: T): T {
  const value = fields[key] ?? usual;
  const known = choices.find((one) => one === value);
  if (known === undefined) throw new Refused(`'${key}' must be one of ${choices.join(", ")}`);
  return known;
}

function whole(fields: Fields, key: string, most: number, usual: number): number {
  const value = fields[key] ?? usual;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > most)
    throw new Refused(`'${key}' must be a whole number up to ${most}`);
  return value;
}

/** Returns the scope and the verb that the last two tokens of a subject name; null for unknown ones. */
function verbOf(subject: string): { scope: Scope; verb: string } | null {
  const [scopeName, verb = ""] = subject.split(".").slice(-2);
  const scope = SCOPES.find((one) => one === scopeName);
  return scope !== undefined && VERBS[scope].includes(verb) ? { scope, verb } : null;
}

function needsMachines({ scope, verb }: { scope: Scope; verb: string }): boolean {
  return scope !== "read" || verb === "status" || verb === "wait";
}

/** Parses and checks a request; throws Refused. */
export function readRequest(subject: string, payload: Uint8Array): FleetRequest {
  const which = verbOf(subject);
  if (which === null) throw new Refused(`There is no request '${subject.split(".").slice(-2).join(".")}'`);
  if (payload.length > MOST_REQUEST_BYTES) throw new Refused(`A request has ${MOST_REQUEST_BYTES} bytes at most`);
  const fields = parsed(Buffer.from(payload).toString());
  const machines = texts(fields, "machines", MOST_MACHINES);
  for (const name of machines) {
    if (!isMachineName(name)) throw new Refused(`'${name.slice(0, 64)}' is no name of a machine`);
  }
  if (needsMachines(which) && machines.length === 0) throw new Refused("The request names no machine");
  const command = texts(fields, "command", MOST_WORDS);
  const user = fields["user"] ?? "";
  if (which.scope === "exec") checkCommand(machines, command, user);
  return {
    ...which,
    machines,
    form: choice(fields, "form", FORMS, "text"),
    columns: choice(fields, "columns", COLUMNS, "usual"),
    lines: whole(fields, "lines", MOST_LINES, 10),
    output: choice(fields, "output", OUTPUT_MODES, "short"),
    until: choice(fields, "until", WAIT_CONDITIONS, "booted"),
    timeoutMs: whole(fields, "timeoutMs", which.scope === "exec" ? MOST_EXEC_MS : MOST_WAIT_MS, 0),
    quiet: fields["quiet"] === true,
    runner: choice(fields, "runner", ["nspawn", "vmspawn"], "nspawn"),
    command,
    user: user as string,
  };
}

function checkCommand(machines: readonly string[], command: readonly string[], user: unknown): void {
  if (machines.length !== 1) throw new Refused("A command runs in one machine");
  if (command.length === 0) throw new Refused("The request has no command");
  if (command.some((word) => word.includes("\0"))) throw new Refused("A word of the command has a NUL in it");
  if (typeof user !== "string" || !/^[A-Za-z0-9_.-]{0,64}$/.test(user))
    throw new Refused("'user' is no name of a user");
}

function isExitStatus(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 255;
}

/** Parses an answer; returns null for an invalid one. */
export function readAnswer(payload: string): FleetAnswer | null {
  try {
    const { status, output, error } = JSON.parse(payload) as Fields;
    if (typeof output !== "string" || typeof error !== "string") return null;
    // A number that is no exit status could become 0, which is success, as that of this program.
    return isExitStatus(status) ? { status, output, error } : null;
  } catch {
    return null;
  }
}
