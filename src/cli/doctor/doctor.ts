// `machinectl doctor`: checks this host or one machine, and prints for each problem what is wrong, what follows from
// it, and the command that repairs it. It changes and starts nothing.
import { shellQuoted as quoted } from "../../base/text/shell-quoted.ts";
import type { Json } from "../format/json.ts";
import { formatJson } from "../format/json.ts";
import { machineFacts } from "../machine/details.ts";
import { Failure, meansNoMachine, orNull } from "../session/failure.ts";
import { screenWidth } from "../session/print-table.ts";
import type { Session } from "../session/session.ts";
import { DAEMON_CHECKS } from "./daemon-checks.ts";
import type { Check, Diagnosis, Finding, Learned } from "./finding.ts";
import { gatherHost } from "./gather-host.ts";
import { gatherMachine } from "./gather-machine.ts";
import { HOST_CHECKS } from "./host-checks.ts";
import { MACHINE_CHECKS } from "./machine-checks.ts";
import { findingsText } from "./text.ts";

function diagnose<Facts>(checks: readonly Check<Facts>[], facts: Learned<Facts>): Diagnosis[] {
  return checks.map((check) => ({ id: check.id, title: check.title, ...check.run(facts) }));
}

/** Returns the command with sudo(8) if the caller is not root, except `export`, which is for the caller's own shell. */
function forCaller(command: string, isRoot: boolean): string {
  if (isRoot || command.startsWith("export ")) return command;
  return /^[\w@%+=:,./' -]+$/.test(command) ? `sudo ${command}` : `sudo sh -c ${quoted(command)}`;
}

function printForPeople(session: Session, diagnoses: readonly Diagnosis[]): void {
  const { output, terminal, settings } = session;
  const shown = diagnoses.filter(({ level }) => !settings.quiet || level === "warning" || level === "problem");
  output.write(findingsText(shown, { paint: terminal.paint, columns: screenWidth(session) }));
}

function jsonOf({ id, title, level, what, why, mend }: Diagnosis): Json {
  return { id, title, status: level, what, why: why ?? null, mend: mend ?? null };
}

/** Joins the lines of a text, because texts from machines and files may have several. */
function onOneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, "; ");
}

/** Prints the findings as text or JSON; returns the exit status. */
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

/** The finding for a name that no machine has. */
async function absent(session: Session, name: string): Promise<Diagnosis[]> {
  const image = await orNull(session.manager("GetImage", { name }));
  const what = "no machine of this name is registered";
  const found: Finding =
    image === null
      ? { level: "problem", what, why: "no image has this name either: 'machinectl list-images' shows all images" }
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

/** The verb `doctor`. Returns 1 if there is a finding of level `problem`. */
export async function doctor(session: Session, [name]: readonly string[]): Promise<number> {
  if (session.settings.transport.kind !== "local") {
    throw new Failure("doctor can check only the host that it runs on: run it there, over ssh(1)");
  }
  if (name !== undefined) return print(session, await examineMachine(session, name));
  return print(session, diagnose([...DAEMON_CHECKS, ...HOST_CHECKS], await gatherHost(session)));
}
