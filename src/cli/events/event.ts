// Formats an event of `machinectl events` as a line of text.
import type { Json } from "../format/json.ts";
import { signalName } from "../format/signals.ts";

/** An event in the form of io.machined.Events; docs/events.md describes the fields. */
export interface SeenEvent {
  readonly cursor?: string;
  /** Microseconds since 1970. */
  readonly time: number;
  readonly type: string;
  readonly event: string;
  readonly [field: string]: Json | undefined;
}

/** The latest time that a Date can have. */
const MOST_SECONDS = 8.64e12;

/** For each type of event, the texts in brackets at the end of its line; null for those to leave out. */
const DETAILS: Readonly<Record<string, (event: SeenEvent) => readonly (string | null)[]>> = {
  machine: (event) =>
    event.event === "started"
      ? [text(event, "class"), text(event, "service"), labelled(event, "leader", "leader ")]
      : [howItEnded(event)],
  address: (event) => [text(event, "address")],
  resource: (event) => [howOften(event)],
  image: (event) => [text(event, "imageType"), event["readOnly"] === true ? "read-only" : null, text(event, "path")],
  transfer: (event) => [
    labelled(event, "transfer", "transfer "),
    text(event, "transferType")?.replace("_", "-") ?? null,
    event.event === "started" ? text(event, "remote") : null,
    typeof event["progress"] === "number" ? `${Math.floor(event["progress"] * 100)}%` : null,
    text(event, "result"),
  ],
};

function text(event: SeenEvent, field: string): string | null {
  return labelled(event, field, "");
}

/** Returns null for a field that is absent, or no single value: an event of the fleet was written by another host. */
function labelled(event: SeenEvent, field: string, label: string): string | null {
  const value = event[field];
  if (value === undefined || value === null || value === "" || typeof value === "object") return null;
  return `${label}${String(value)}`;
}

function howItEnded(event: SeenEvent): string | null {
  const { how, signal } = event;
  if (how === "exited") return `exited ${text(event, "status") ?? "?"}`;
  if (how === "killed") return `killed by SIG${typeof signal === "number" ? signalName(signal) : "?"}`;
  return text(event, "how")?.replace("_", " ") ?? null;
}

/** Returns null for an event that has happened once. */
function howOften(event: SeenEvent): string | null {
  const count = text(event, "count");
  return count === null || count === "1" ? null : `${count} times`;
}

/** Returns the name of the machine or image that the event is about. */
export function subjectOf(event: SeenEvent): string {
  return text(event, "machine") ?? text(event, "image") ?? text(event, "local") ?? "-";
}

/** Returns the time of an event: `2026-11-28T01:13:36Z`. */
export function timeText({ time }: SeenEvent): string {
  const seconds = typeof time === "number" ? Math.floor(time / 1e6) : 0;
  return new Date(Math.abs(seconds) <= MOST_SECONDS ? seconds * 1000 : 0).toISOString().replace(".000Z", "Z");
}

/** Returns a line: `2026-11-28T01:13:36Z machine started  deb1 (container, systemd-nspawn, leader 1186)`. */
export function eventLine(event: SeenEvent): string {
  const time = timeText(event);
  const detailsOf = Object.hasOwn(DETAILS, event.type) ? DETAILS[event.type] : undefined;
  const details = (detailsOf?.(event) ?? []).filter((detail) => detail !== null);
  const brackets = details.length === 0 ? "" : ` (${details.join(", ")})`;
  // Names of machines and files may contain newlines.
  return `${time} ${event.type} ${event.event.padEnd(8)} ${subjectOf(event)}${brackets}`.replaceAll("\n", "\\n");
}
