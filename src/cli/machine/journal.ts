// The last journal entries about a unit, read by journalctl as a child process; none if journalctl is not installed.
//
// journalctl runs twice, because it cannot print "the last N entries since the machine was started" in order: the first
// run reads backwards and finds the cursor of the oldest entry to print, the second one prints from there.
import type { Json } from "../format/json.ts";
import { withColours } from "../format/own-sequence.ts";
import type { Session } from "../session/session.ts";
import type { Settings } from "../session/settings.ts";

const COREDUMP_MESSAGE_ID = "fc2e22bc6ee647b6b90729ab34a250b1";

/** The unit of a machine, and when the machine was registered (CLOCK_MONOTONIC, µs). */
interface JournalTopic {
  readonly unit: string;
  readonly sinceMonotonicUsec: bigint;
}

/**
 * Returns the matches of journalctl for the entries about a unit: entries of its processes, of the service manager (in
 * init.scope, or process 1), and of root's processes about it, and its core dumps. All terms of a group must match.
 */
function matches(unit: string): string[] {
  const groups = [
    [`_SYSTEMD_UNIT=${unit}`],
    ["_SYSTEMD_CGROUP=/init.scope", `UNIT=${unit}`],
    ["_PID=1", `UNIT=${unit}`],
    ["_UID=0", `OBJECT_SYSTEMD_UNIT=${unit}`],
    [`MESSAGE_ID=${COREDUMP_MESSAGE_ID}`, `COREDUMP_UNIT=${unit}`],
    // Entries of the units in a slice.
    ...(unit.endsWith(".slice") ? [[`_SYSTEMD_SLICE=${unit}`]] : []),
  ];
  return groups.flatMap((group, index) => (index === 0 ? group : ["+", ...group]));
}

function command(unit: string, lines: number, rest: readonly string[]): [string, ...string[]] {
  return ["journalctl", "--no-pager", "--quiet", "--boot", `--lines=${lines}`, ...rest, ...matches(unit)];
}

/** One entry of `--output=json`, with the fields that are read here. */
type Entry = { readonly [key: string]: Json } & { readonly __CURSOR: string; readonly __MONOTONIC_TIMESTAMP: string };

/** Entries are printed whole with --all, and with options that name a property, which include it in the original. */
function allOption({ all, properties }: Settings): string[] {
  return all || properties.length > 0 ? ["--all"] : [];
}

function isWanted(session: Session, { unit }: JournalTopic): boolean {
  const { settings } = session;
  return settings.lines > 0 && settings.transport.kind === "local" && unit !== "";
}

/** Returns the last entries about a unit, newest first. `fields` are options that select the fields of an entry. */
async function newestFirst(session: Session, topic: JournalTopic, fields: readonly string[]): Promise<Entry[]> {
  const rest = ["--reverse", "--output=json", ...fields, ...allOption(session.settings)];
  const text = await session.ports.run({ argv: command(topic.unit, session.settings.lines, rest) });
  const lines = (text ?? "").split("\n").filter((line) => line !== "");
  const entries = lines.map((line) => JSON.parse(line) as Entry);
  return entries.filter((entry) => BigInt(entry.__MONOTONIC_TIMESTAMP) >= topic.sinceMonotonicUsec);
}

/** Returns the journal part of a status page in the output mode of the settings; empty if there are no entries. */
export async function unitJournal(session: Session, topic: JournalTopic): Promise<string> {
  if (!isWanted(session, topic)) return "";
  const entries = await newestFirst(session, topic, ["--output-fields=PRIORITY"]);
  const oldest = entries.at(-1);
  if (oldest === undefined) return "";
  const { settings, terminal } = session;
  const whole = settings.full || !terminal.isTty || session.output.hasPager;
  const form = [`--output=${settings.output}`, whole ? "--full" : "--no-full", ...allOption(settings)];
  const argv = command(topic.unit, entries.length, [`--cursor=${oldest.__CURSOR}`, ...form]);
  const env = {
    SYSTEMD_COLORS: terminal.colors === "off" ? "0" : terminal.colors,
    ...(whole ? {} : { COLUMNS: String(terminal.columns) }),
  };
  const text = (await session.ports.run({ argv, env })) ?? "";
  return terminal.colors === "off" ? text : withColours(text);
}

/** Returns the journal part of a status object: the last entries with all their fields, oldest first. */
export async function unitJournalEntries(session: Session, topic: JournalTopic): Promise<Json[]> {
  return isWanted(session, topic) ? (await newestFirst(session, topic, [])).reverse() : [];
}
