// `machinectl events`: prints events of machines, images and transfers, one line each (docs/events.md).
import { LONGEST_TIMER_MS } from "../../base/longest-timer.ts";
import { formatJson, type Json } from "../format/json.ts";
import { printsColumns } from "../list/print.ts";
import { Failure } from "../session/failure.ts";
import { fittingLines } from "../session/print-table.ts";
import type { Session } from "../session/session.ts";
import { tableJsonMode } from "../session/settings.ts";
import { EVENT_COLUMNS } from "./columns.ts";
import { eventLine, type SeenEvent, subjectOf } from "./event.ts";
import { type EventForm, eventForm } from "./form.ts";
import { loggedEvents, NoLog } from "./logged.ts";
import { signalledEvents } from "./signalled.ts";
import { type WantedEvents, wantedEvents } from "./wanted.ts";

function print(session: Session, form: EventForm, event: SeenEvent): void {
  if (event.type !== "log") {
    session.output.write(form.text(event, () => fittingLines(session, eventLine(event)).join("\n")));
    return;
  }
  const mode = tableJsonMode(session.settings);
  if (mode === null) session.report.warning(missedLine(event));
  else session.output.write(formatJson(event as Record<string, Json>, mode, session.terminal.paint));
}

function missedLine({ count }: SeenEvent): string {
  return count === undefined ? "Earlier events are no longer known" : `${String(count)} events were missed`;
}

/** Whether the event is printed. Of events about the log itself, only those about missed events are. */
function isShown(event: SeenEvent, wanted: WantedEvents, form: EventForm): boolean {
  if (event.type === "log") return event.event === "missed";
  return wanted.isNamed(subjectOf(event)) && form.passes(event);
}

/** Yields the events of the manager's log or, if it keeps none, events made from its signals. */
async function* allEvents(session: Session, wanted: WantedEvents): AsyncGenerator<SeenEvent> {
  try {
    yield* loggedEvents(session, wanted);
  } catch (error) {
    if (!(error instanceof NoLog)) throw error;
    yield* signalledEvents(session, wanted);
  }
}

/** Takes events until `stop` resolves, the events end, or one is later than --until=. */
async function read(
  session: Session,
  wanted: WantedEvents,
  stop: Promise<null>,
  take: (event: SeenEvent) => void,
): Promise<void> {
  const events = allEvents(session, wanted);
  for (;;) {
    const next = events.next();
    // If `stop` wins, this promise rejects when the connection is closed, and nothing awaits it.
    next.catch(() => {});
    const result = await Promise.race([next, stop]);
    if (result === null || result.done === true) return;
    const event = result.value;
    const isLate = wanted.untilUsec !== null && event.time > wanted.untilUsec;
    // Events about the log have the present time, but come before older events.
    if (isLate && event.type !== "log") return;
    take(event);
    if (session.output.isOver) return;
  }
}

/**
 * Prints the last `count` of the wanted events that the log has. Returns the events that are still wanted: those after
 * the end of the log.
 */
async function printLast(
  session: Session,
  wanted: WantedEvents,
  form: EventForm,
  count: number,
  stop: Promise<null>,
): Promise<WantedEvents> {
  const kept: SeenEvent[] = [];
  let { cursor } = wanted;
  await read(session, { ...wanted, sinceUsec: wanted.sinceUsec ?? 0, follows: false }, stop, (event) => {
    cursor = event.cursor ?? cursor;
    if (event.type === "log" || !isShown(event, wanted, form)) return;
    kept.push(event);
    if (kept.length > count) kept.shift();
  });
  for (const event of kept) print(session, form, event);
  return { ...wanted, cursor };
}

/** The complaint where the time of --until= comes first. */
export const NEVER_CONNECTED = "There was no connection before the time of '--until='";

/** Calls `end` at a time. Returns null, without a timer, if the time is null or too far away for setTimeout(). */
export function endAt(
  untilUsec: number | null,
  nowUsec: number,
  end: () => void,
): ReturnType<typeof setTimeout> | null {
  const leftMs = untilUsec === null ? Number.POSITIVE_INFINITY : Math.max((untilUsec - nowUsec) / 1000, 0);
  return leftMs > LONGEST_TIMER_MS ? null : setTimeout(end, leftMs);
}

/** The verb `events`. Throws a Failure where the time of --until= comes before a connection. */
export async function events(session: Session, words: readonly string[]): Promise<number> {
  if (printsColumns(session, EVENT_COLUMNS)) return 0;
  const form = eventForm(session);
  const wanted = await wantedEvents(session, words);
  const interrupt = session.ports.interrupted("or-reader-left");
  const { promise: over, resolve } = Promise.withResolvers<null>();
  void interrupt.promise.then(() => resolve(null));
  let isTimeOver = false;
  const endInTime = () => {
    isTimeOver = true;
    resolve(null);
  };
  const timer = wanted.follows ? endAt(wanted.untilUsec, Number(session.ports.nowUsec()), endInTime) : null;
  const show = (event: SeenEvent) => {
    if (isShown(event, wanted, form)) print(session, form, event);
  };
  const { lines } = session.settings.log;
  try {
    const further = lines === null ? wanted : await printLast(session, wanted, form, lines, over);
    if (lines === null || wanted.follows) await read(session, further, over, show);
  } finally {
    if (timer !== null) clearTimeout(timer);
    interrupt.stop();
  }
  if (isTimeOver && !session.isConnected) throw new Failure(NEVER_CONNECTED);
  return 0;
}
