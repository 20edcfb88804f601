// `machinectl doctor`: what is wrong with this host or with one machine, what follows from it, and the command that mends it.
// Nothing is changed or started.
import type { Json } from "../format/json.ts";
import { formatJson } from "../format/json.ts";
import type { Paint } from "../format/terminal.ts";
import { machineFacts } from "../machine/details.ts";
import { Failure, meansNoMachine, orNull } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { DAEMON_CHECKS } from "./daemon-checks.ts";
import { type Check, type Finding, type Learned, type Level, quoted } from "./finding.ts";
import { gatherHost } from "./gather-host.ts";
import { gatherMachine } from "./gather-machine.ts";
import { HOST_CHECKS } from "./host-checks.ts";
import { MACHINE_CHECKS } from "./machine-checks.ts";

interface Diagnosis extends Finding {
  readonly id: string;
  readonly title: string;
}

function diagnose<Facts>(checks: readonly Check<Facts>[], facts: Learned<Facts>): Diagnosis[] {
  return checks.map((check) => ({ id: check.id, title: check.title, ...check.run(facts) }));
}

/** A command as the caller runs it. What sets the caller's own shell is not for root. */
function forCaller(command: string, isRoot: boolean): string {
  if (isRoot || command.startsWith("export ")) return command;
  return /^[\w@%+=:,./' -]+$/.test(command) ? `sudo ${command}` : `sudo sh -c ${quoted(command)}`;
}

const COLOURS: Readonly<Record<Level, keyof Paint>> = {
  ok: "green",
  warning: "yellow",
  problem: "red",
  unknown: "grey",
};

function printForPeople(session: Session, diagnoses: readonly Diagnosis[]): void {
  const { output, terminal, settings } = session;
  const { paint } = terminal;
  const shown = diagnoses.filter(({ level }) => !settings.quiet || level === "warning" || level === "problem");
  const width = Math.max(0, ...shown.map(({ title }) => title.length));
  const indent = " ".repeat("warning  ".length);
  for (const { level, title, what, why, mend } of shown) {
    output.write(`${paint[COLOURS[level]]}${level.padEnd(7)}${paint.normal}  ${title.padEnd(width)}  ${what}\n`);
    if (why !== undefined) output.write(`${indent}why:  ${why}\n`);
    if (mend !== undefined) output.write(`${indent}mend: ${paint.bright}${mend}${paint.normal}\n`);
  }
}

function jsonOf({ id, title, level, what, why, mend }: Diagnosis): Json {
  return { id, title, status: level, what, why: why ?? null, mend: mend ?? null };
}

/** One line: facts of machines and files may have several. */
function onOneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, "; ");
}

function print(session: Session, found: readonly Diagnosis[]): number {
  const { settings, ports, output, terminal } = session;
  const isRoot = ports.euid === 0;
  const diagnoses = found.map(({ what, mend, ...rest }): Diagnosis => {
    return { ...rest, what: onOneLine(what), ...(mend === undefined ? {} : { mend: forCaller(mend, isRoot) }) };
  });
  if (settings.json === "off") printForPeople(session, diagnoses);
  else output.write(formatJson(diagnoses.map(jsonOf), settings.json, terminal.paint));
  return diagnoses.some(({ level }) => level === "problem") ? 1 : 0;
}

/** What there is to say about a name that is no machine's. */
async function absent(session: Session, name: string): Promise<Diagnosis[]> {
  const image = await orNull(session.manager("GetImage", { name }));
  const what = "no machine of this name is registered";
  const found: Finding =
    image === null
      ? { level: "problem", what, why: "there is no image of this name either: 'machinectl list-images' shows them" }
      : { level: "problem", what, why: "its image is not running", mend: `machinectl start ${quoted(name)}` };
  return [{ id: "registered", title: "registration", ...found }];
}

async function examineMachine(session: Session, name: string): Promise<Diagnosis[]> {
  try {
    return diagnose(MACHINE_CHECKS, await gatherMachine(session, await machineFacts(session, name)));
  } catch (error) {
    if (meansNoMachine(error)) return absent(session, name);
    throw error;
  }
}

/** The verb `doctor`. Exits with 1 where there is a problem. */
export async function doctor(session: Session, [name]: readonly string[]): Promise<number> {
  if (session.settings.transport.kind !== "local") {
    throw new Failure("doctor looks at the host that it runs on: run it there, over ssh(1)");
  }
  if (name !== undefined) return print(session, await examineMachine(session, name));
  return print(session, diagnose([...DAEMON_CHECKS, ...HOST_CHECKS], await gatherHost(session)));
}
