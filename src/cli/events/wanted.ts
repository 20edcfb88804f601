// Which events are asked for: the words and options of `machinectl events`.
import { parseMoment } from "../format/moment.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

export interface WantedEvents {
  /** Microseconds since 1970; null: from now on. */
  readonly sinceUsec: number | null;
  readonly untilUsec: number | null;
  /** Of the event behind which reading begins; null where `sinceUsec` counts. */
  readonly cursor: string | null;
  readonly follows: boolean;
  /** Null for all. */
  readonly types: readonly string[] | null;
  /** Null where patterns are among the names, and for all. */
  readonly names: readonly string[] | null;
  /** Whether an event is about what was asked for, by the name that it is about. */
  isNamed(name: string): boolean;
}

/** Throws a Failure for a moment that cannot be understood. */
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
    // What is over can only be read from what is kept.
    sinceUsec: sinceUsec ?? (follows ? null : 0),
    ...{ untilUsec, follows },
    cursor: settings.afterCursor === "" ? null : settings.afterCursor,
    types: settings.eventTypes.length === 0 ? null : settings.eventTypes,
    names: names.length === 0 || hasPattern ? null : names,
    isNamed: (name) => names.length === 0 || names.includes(name) || globs.some((glob) => glob.match(name)),
  };
}
