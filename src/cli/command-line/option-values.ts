// Parsers for the values of the clients' options: one function for each option, called by `apply` of its row. Each
// stores the parsed value in the settings, or throws a Failure for a value that it does not accept. A `Finish` that is
// returned prints something (`--output=help`) and ends the program.

import { parseUnsigned } from "../../base/text/number.ts";
import { parseSpanMs } from "../../base/text/span.ts";
import { COMPRESSIONS, parseCompression } from "../../base/vocabulary/compression.ts";
import { CHOSEN_TYPES } from "../../base/vocabulary/event.ts";
import { OUTPUT_MODES } from "../../base/vocabulary/output-mode.ts";
import { VERIFY_MODES } from "../../base/vocabulary/transfer.ts";
import { parseSignal } from "../format/signals.ts";
import { type Environment, parseBoolean } from "../format/terminal.ts";
import { Failure } from "../session/failure.ts";
import {
  JSON_CHOICES,
  JSON_VERSIONS,
  PULL_MODES,
  RUNNERS,
  type Settings,
  WAIT_CONDITIONS,
} from "../session/settings.ts";
import type { Finish } from "./getopt.ts";

/**
 * What the parsers use beside the value: the environment, and the `Finish` of options that print something and exit.
 */
export interface OptionContext {
  readonly env: Environment;
  readonly stdoutIsTty: boolean;
  readonly help: Finish;
  readonly version: Finish;
  readonly introspection: Finish;
  readonly signals: (form: "table" | "names") => Finish;
  readonly lines: (lines: readonly string[]) => Finish;
}

/** Returns `value` if it is one of `choices`, else undefined. */
function choice<T extends string>(choices: readonly T[], value: string): T | undefined {
  return choices.find((known) => known === value);
}

function required<T>(value: T | undefined, complaint: string, hint?: string): T {
  if (value === undefined) throw new Failure(complaint, { hint });
  return value;
}

/** The hint for options that accept a few words only. */
export function oneOf(values: readonly string[]): string {
  return `Possible values: ${values.join(", ")}`;
}

const SIGNAL_HINT = "'--signal=list' prints all signals";
const NETWORK_HINT = oneOf([
  ...["host", "none", "veth", "user"],
  ...["bridge", "zone", "interface", "macvlan", "ipvlan"].map((kind) => `${kind}:NAME`),
]);
const SPAN_HINT = "A time is a number of seconds, or with units, as in 500ms or 1min 30s";
export const BOOLEAN_HINT = oneOf(["yes", "no"]);

/** `-E`: `VAR=VALUE`, or `VAR` alone for the value in this process's environment (empty when it is not set). */
export function setEnvironment(settings: Settings, value: string, { env }: OptionContext): void {
  const equals = value.indexOf("=");
  const name = equals < 0 ? value : value.slice(0, equals);
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new Failure(`Cannot assign environment variable ${value}: Invalid argument`);
  }
  settings.environment.push(equals < 0 ? `${name}=${env[name] ?? ""}` : value);
}

/** `--signal=`: a signal's name or number; `help` and `list` print all signals. */
export function setSignal(settings: Settings, value: string, context: OptionContext): Finish | undefined {
  if (value === "help") return context.signals("names");
  if (value === "list") return context.signals("table");
  settings.signal = required(parseSignal(value), `Failed to parse signal string "${value}".`, SIGNAL_HINT);
  return undefined;
}

/** `--output=`: the journal's output mode. The JSON modes also turn off the legend of tables. */
export function setOutput(settings: Settings, value: string, context: OptionContext): Finish | undefined {
  if (value === "help") return context.lines(OUTPUT_MODES);
  settings.output = required(choice(OUTPUT_MODES, value), `Unknown output '${value}'.`, oneOf(OUTPUT_MODES));
  if (value.startsWith("json")) settings.legend = false;
  return undefined;
}

/** `--json=`. */
export function setJson(settings: Settings, value: string, context: OptionContext): Finish | undefined {
  if (value === "help") return context.lines(JSON_CHOICES);
  const known = choice(JSON_CHOICES, value);
  settings.json = required(known, `Unknown argument to --json= switch: ${value}`, oneOf(JSON_CHOICES));
  return undefined;
}

/** `--json-version=`. */
export function setJsonVersion(settings: Settings, value: string, context: OptionContext): Finish | undefined {
  if (value === "help") return context.lines(JSON_VERSIONS);
  const known = choice(JSON_VERSIONS, value);
  const complaint = `Unknown argument to --json-version= switch: ${value}`;
  settings.list.jsonVersion = required(known, complaint, oneOf(JSON_VERSIONS));
  return undefined;
}

/** `--verify=`. */
export function setVerify(settings: Settings, value: string, context: OptionContext): Finish | undefined {
  if (value === "help") return context.lines(VERIFY_MODES.values);
  const known = VERIFY_MODES.parse(value);
  settings.verify = required(known, `Failed to parse --verify= setting: ${value}`, oneOf(VERIFY_MODES.values));
  return undefined;
}

/** `--max-addresses=`: a number or `all`. */
export function setMaxAddresses(settings: Settings, value: string): void {
  const wanted = value === "all" ? Number.POSITIVE_INFINITY : parseUnsigned(value);
  settings.maxAddresses = required(wanted, `Invalid number of addresses: ${value}`, "A number, or 'all'");
}

/** `--lines=`. */
export function setLines(settings: Settings, value: string): void {
  settings.lines = required(parseUnsigned(value), `Failed to parse lines '${value}'`);
  settings.log.lines = settings.lines;
}

/** `--runner=`. */
export function setRunner(settings: Settings, value: string): void {
  const known = choice(RUNNERS, value);
  settings.runner = required(known, `Failed to parse --runner= setting: ${value}`, oneOf(RUNNERS));
}

/** `--format=`. */
export function setFormat(settings: Settings, value: string): void {
  settings.format = required(parseCompression(value), `Unknown format: ${value}`, oneOf(COMPRESSIONS));
}

/** `--timeout=`. */
export function setTimeoutSpan(settings: Settings, value: string): void {
  settings.timeoutMs = required(parseSpanMs(value), `Failed to parse --timeout= value: ${value}`, SPAN_HINT);
}

/** `--for=`. */
export function setWaitFor(settings: Settings, value: string): void {
  settings.waitFor = required(
    choice(WAIT_CONDITIONS, value),
    `Unknown condition '${value}' of --for=; there are ${WAIT_CONDITIONS.join(", ")}`,
  );
}

/** `--leader=`: the number of a process. */
export function setLeader(settings: Settings, value: string): void {
  const pid = parseUnsigned(value);
  settings.registration.leader = required(pid === 0 ? undefined : pid, `Failed to parse --leader= value: ${value}`);
}

/** `--vsock-cid=`. */
export function setVsockCid(settings: Settings, value: string): void {
  settings.registration.vsockCid = required(parseUnsigned(value), `Failed to parse --vsock-cid= value: ${value}`);
}

/** `--class=` of a machine. */
export function setMachineClass(settings: Settings, value: string): void {
  const known = choice(["container", "vm"] as const, value);
  settings.registration.machineClass = required(known, `Unknown class '${value}': container or vm`);
}

/** `--stdin=`: `no` gives the command an empty input. */
export function setStdin(settings: Settings, value: string): void {
  settings.stdin = required(parseBoolean(value), `Failed to parse --stdin= value: ${value}`, BOOLEAN_HINT);
}

/** `--parallel=`. */
export function setParallel(settings: Settings, value: string): void {
  const wanted = parseUnsigned(value);
  settings.parallel = required(wanted === 0 ? undefined : wanted, `Failed to parse --parallel= value: ${value}`);
}

/** `--delay=`: at least 10 ms; over a shorter time the CPU counters change too little for a percentage. */
export function setDelay(settings: Settings, value: string): void {
  const delayMs = parseSpanMs(value);
  settings.delayMs = required(
    delayMs !== undefined && delayMs >= 10 ? delayMs : undefined,
    `Failed to parse --delay= value: ${value}`,
    `${SPAN_HINT}; at least 10ms`,
  );
}

/** `--iterations=`. */
export function setIterations(settings: Settings, value: string): void {
  const wanted = parseUnsigned(value);
  settings.iterations = required(wanted === 0 ? undefined : wanted, `Failed to parse --iterations= value: ${value}`);
}

/** `--type=`: types of events, separated by commas; the option may be repeated. */
export function setEventTypes(settings: Settings, value: string): void {
  for (const type of value.split(",")) {
    settings.eventTypes.push(
      required(CHOSEN_TYPES.parse(type), `Unknown type of event '${type}': ${CHOSEN_TYPES.values.join(", ")}`),
    );
  }
}

/** `--network=`: `host`, `none`, `veth`, `user`, or `KIND:NAME` for a kind of network that has a name. */
export function setNetwork(settings: Settings, value: string): void {
  const isKnown = /^(host|none|veth|user|(bridge|zone|interface|macvlan|ipvlan):[^\s:/]+)$/.test(value);
  const complaint = `Failed to parse --network= value: ${value}`;
  settings.run.network = required(isKnown ? value : undefined, complaint, NETWORK_HINT);
}

/** `--pull=`. */
export function setPull(settings: Settings, value: string): void {
  const known = choice(PULL_MODES, value);
  settings.run.pull = required(known, `Failed to parse --pull= value: ${value}`, oneOf(PULL_MODES));
}
