// The last journal entries about a unit, read by journalctl as a child process; none if journalctl is not installed.
//
// journalctl cannot print "the last N entries since the machine was started" in order. It prints the last N entries
// newest first, with the cursor of the oldest; they are printed in reverse. When the oldest is from before that start,
// which a machine that was restarted may have, a second run returns the times of all. Where the output mode does not
// show where an entry ends, the first run returns the times, and the second one prints from the oldest entry that is
// wanted.
import type { OutputMode } from "../../base/vocabulary/output-mode.ts";
import type { Json } from "../format/json.ts";
import { withColours, withSeparators } from "../format/own-sequence.ts";
import { entriesIn } from "../local/journal-entries.ts";
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

/** The largest number that journalctl takes. */
const MOST_LINES = 0x7fff_ffff;

function command(unit: string, lines: number, rest: readonly string[]): [string, ...string[]] {
  const most = `--lines=${Math.min(lines, MOST_LINES)}`;
  return ["journalctl", "--no-pager", "--quiet", "--boot", most, ...rest, ...matches(unit)];
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
async function newestFirst(session: Session, { unit }: JournalTopic, fields: readonly string[]): Promise<Entry[]> {
  const rest = ["--reverse", "--output=json", ...fields, ...allOption(session.settings)];
  const text = await session.ports.run({ argv: command(unit, session.settings.lines, rest) });
  return entriesIn(text ?? "") as Entry[];
}

/** Returns those of the entries that are from since the machine was started. */
function sinceStart(entries: readonly Entry[], { sinceMonotonicUsec }: JournalTopic): Entry[] {
  return entries.filter((entry) => BigInt(entry.__MONOTONIC_TIMESTAMP) >= sinceMonotonicUsec);
}

/** Runs journalctl in the output mode of the settings and returns its output. */
async function printed(session: Session, unit: string, lines: number, rest: readonly string[]): Promise<string> {
  const { settings, terminal } = session;
  const whole = settings.full || !terminal.isTty || session.output.hasPager;
  const form = [`--output=${settings.output}`, whole ? "--full" : "--no-full", ...allOption(settings)];
  const env = {
    // Output prints the sequences of links as text.
    SYSTEMD_URLIFY: "0",
    SYSTEMD_COLORS: terminal.colors === "off" ? "0" : terminal.colors,
    ...(whole ? {} : { COLUMNS: String(terminal.columns) }),
  };
  return (await session.ports.run({ argv: command(unit, lines, [...rest, ...form]), env })) ?? "";
}

/**
 * Whether each entry begins with a line with its time, and further lines of it are indented by the width of time, host
 * and program. `short-delta` prints the time since the entry before instead.
 */
function isTimed(mode: OutputMode): boolean {
  return mode === "with-unit" || (mode.startsWith("short") && mode !== "short-delta");
}

/**
 * Where an entry begins: months of some languages begin with a space, the further lines of an entry with 16 and more.
 */
const ENTRY = /(?<=\n)(?! {4})/;
const LAST_LINE = /(?<=^|\n)-- cursor: (.*)\n$/;
/** The part of a cursor with the time of its entry. */
const MONOTONIC_USEC = /(?:^|;)m=([0-9a-f]+)(?:;|$)/;

/** The last entries as journalctl prints them, newest first, and the cursor of the oldest. */
interface Printed {
  readonly entries: readonly string[];
  readonly cursor: string;
}

/** Returns null if there are no entries. */
async function printedNewestFirst(session: Session, { unit }: JournalTopic): Promise<Printed | null> {
  const text = await printed(session, unit, session.settings.lines, ["--reverse", "--show-cursor"]);
  const [end = "", cursor = ""] = LAST_LINE.exec(text) ?? [];
  return text === end ? null : { entries: text.slice(0, text.length - end.length).split(ENTRY), cursor };
}

function isSinceStart({ cursor }: Printed, { sinceMonotonicUsec }: JournalTopic): boolean {
  const usec = MONOTONIC_USEC.exec(cursor)?.[1];
  return usec !== undefined && BigInt(`0x${usec}`) >= sinceMonotonicUsec;
}

/** Returns the entries since the machine was started as journalctl prints them, oldest first. */
async function printedSinceStart(session: Session, topic: JournalTopic): Promise<string> {
  const last = isTimed(session.settings.output) ? await printedNewestFirst(session, topic) : undefined;
  if (last === null) return "";
  if (last !== undefined && isSinceStart(last, topic)) return last.entries.toReversed().join("");
  const times = await newestFirst(session, topic, ["--output-fields=PRIORITY"]);
  const wanted = sinceStart(times, topic);
  const oldest = wanted.at(-1);
  if (oldest === undefined) return "";
  const isSame = last?.entries.length === times.length && last.cursor === times.at(-1)?.__CURSOR;
  if (isSame) return last.entries.slice(0, wanted.length).toReversed().join("");
  return printed(session, topic.unit, wanted.length, [`--cursor=${oldest.__CURSOR}`]);
}

/** Returns the journal part of a status page in the output mode of the settings; empty if there are no entries. */
export async function unitJournal(session: Session, topic: JournalTopic): Promise<string> {
  if (!isWanted(session, topic)) return "";
  const text = await printedSinceStart(session, topic);
  if (session.settings.output === "json-seq") return withSeparators(text);
  return session.terminal.colors === "off" ? text : withColours(text);
}

/** Returns the journal part of a status object: the last entries with all their fields, oldest first. */
export async function unitJournalEntries(session: Session, topic: JournalTopic): Promise<Json[]> {
  if (!isWanted(session, topic)) return [];
  return sinceStart(await newestFirst(session, topic, []), topic).reverse();
}
