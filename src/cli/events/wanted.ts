// Parses the words and options of `machinectl events`, which select events.
import { parseMoment } from "../format/moment.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

/** The events that the caller wants. */
export interface WantedEvents {
  /** Microseconds since 1970; null for events from now on. */
  readonly sinceUsec: number | null;
  /** Microseconds since 1970; null for no limit. */
  readonly untilUsec: number | null;
  /** The cursor of the event after which reading begins; null to begin at `sinceUsec`. */
  readonly cursor: string | null;
  /** Whether to wait for new events. */
  readonly follows: boolean;
  /** Null for all types. */
  readonly types: readonly string[] | null;
  /**
   * The names for the daemon to filter by; null for all, also if there are patterns, which only isNamed() can match.
   */
  readonly names: readonly string[] | null;
  /** Whether an event about the machine or image of that name is wanted. */
  isNamed(name: string): boolean;
}

/** Parses the words and the settings. Throws a Failure for an invalid time. */
export async function wantedEvents(session: Session, words: readonly string[]): Promise<WantedEvents> {
  const { settings, ports } = session;
  const nowUsec = Number(ports.nowUsec());
  const zone = await ports.zone();
  const moment = (text: string) => {
    if (text === "") return null;
    const usec = parseMoment(text, nowUsec, zone);
    if (usec === undefined) throw new Failure(`Failed to parse timestamp: ${text}`);
    return usec;
  };
  const sinceUsec = moment(settings.since);
  const untilUsec = moment(settings.until);
  const follows = settings.follow && (untilUsec === null || untilUsec > nowUsec);
  const names = words.flatMap((word) => word.split(",")).filter((name) => name !== "");
  const globs = names.map((name) => new Bun.Glob(name));
  const hasPattern = names.some((name) => /[*?[]/.test(name));
  return {
    // Without new events to wait for, all events of the log are read.
    sinceUsec: sinceUsec ?? (follows ? null : 0),
    ...{ untilUsec, follows },
    cursor: settings.afterCursor === "" ? null : settings.afterCursor,
    types: settings.eventTypes.length === 0 ? null : settings.eventTypes,
    names: names.length === 0 || hasPattern ? null : names,
    isNamed: (name) => names.length === 0 || names.includes(name) || globs.some((glob) => glob.match(name)),
  };
}
