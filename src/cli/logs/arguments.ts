// The arguments with which journalctl(1) runs.
import { parseMoment } from "../format/moment.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { type Settings, tableJsonMode } from "../session/settings.ts";
import type { Continuation } from "./reader.ts";
import { type Source, sinceOption } from "./source.ts";

/** How many entries journalctl --follow begins with. */
const FOLLOWED_LINES = "10";

/** Returns the output mode for journalctl: that of -o, or the one that corresponds to --json=. */
export function modeOf(settings: Settings): string {
  if (settings.json === "off") return settings.output;
  return tableJsonMode(settings) === "pretty" ? "json-pretty" : "json";
}

/** One run of journalctl. */
export interface Reading extends Continuation {
  /** The time of the first entry, in µs since 1970; null to begin as the options say. */
  readonly sinceUsec: number | null;
}

/**
 * Returns the option of journalctl that says where to begin; empty for the first entry. A source may begin later than
 * the user wants.
 */
async function sinceArguments({ settings, ports }: Session, source: Source, { sinceUsec }: Reading): Promise<string[]> {
  const { since } = settings;
  const { firstUsec } = source;
  const isGiven = sinceUsec === null && since !== "";
  const wanted = isGiven ? parseMoment(since, Number(ports.nowUsec()), await ports.zone()) : (sinceUsec ?? undefined);
  if (firstUsec !== null && (wanted ?? 0) < firstUsec && (!isGiven || wanted !== undefined))
    return [sinceOption(firstUsec)];
  // journalctl knows more spellings than this client, and complains about others.
  if (isGiven) return [`--since=${since}`];
  return sinceUsec === null ? [] : [sinceOption(sinceUsec)];
}

/** Returns the arguments of journalctl. Throws a Failure for --unit= with a source that has no units of the machine. */
export async function journalArguments(session: Session, source: Source, reading: Reading): Promise<string[]> {
  const { settings } = session;
  const { sinceUsec, follows } = reading;
  const { unit, pattern, lines } = settings.log;
  if (unit !== null && !source.hasUnits) {
    throw new Failure(`--unit= selects units inside a machine, and this is ${source.says}`);
  }
  // journalctl --follow with --since= prints all entries from there on, without it the last ones.
  const isFollowed = follows && settings.since === "" && source.firstUsec !== null;
  const most = sinceUsec === null ? (lines ?? (isFollowed ? FOLLOWED_LINES : null)) : "all";
  return [
    "--no-pager",
    `--output=${modeOf(settings)}`,
    ...(settings.all ? ["--all"] : []),
    // A run that continues another one must not print headings.
    ...(settings.quiet || sinceUsec !== null ? ["--quiet"] : []),
    ...(most === null ? [] : [`--lines=${most}`]),
    ...(await sinceArguments(session, source, reading)),
    ...(settings.until === "" ? [] : [`--until=${settings.until}`]),
    ...(unit === null ? [] : [`--unit=${unit}`]),
    ...(pattern === null ? [] : [`--grep=${pattern}`]),
    ...(follows ? ["--follow"] : []),
  ];
}
