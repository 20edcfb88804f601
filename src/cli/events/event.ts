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

function labelled(event: SeenEvent, field: string, label: string): string | null {
  const value = event[field];
  return value === undefined || value === null || value === "" ? null : `${label}${String(value)}`;
}

function howItEnded(event: SeenEvent): string | null {
  const { how, status, signal } = event;
  if (how === "exited") return `exited ${String(status)}`;
  if (how === "killed") return `killed by SIG${signalName(Number(signal))}`;
  return text(event, "how");
}

/** Returns null for an event that has happened once. */
function howOften({ count }: SeenEvent): string | null {
  return count === undefined || count === 1 ? null : `${String(count)} times`;
}

/** Returns the name of the machine or image that the event is about. */
export function subjectOf(event: SeenEvent): string {
  return text(event, "machine") ?? text(event, "image") ?? text(event, "local") ?? "-";
}

/** Returns a line: `2026-11-28T01:13:36Z machine started  deb1 (container, systemd-nspawn, leader 1186)`. */
export function eventLine(event: SeenEvent): string {
  const time = new Date(Math.floor(event.time / 1e6) * 1000).toISOString().replace(".000Z", "Z");
  const details = (DETAILS[event.type]?.(event) ?? []).filter((detail) => detail !== null);
  const brackets = details.length === 0 ? "" : ` (${details.join(", ")})`;
  // Names of machines and files may contain newlines.
  return `${time} ${event.type} ${event.event.padEnd(8)} ${subjectOf(event)}${brackets}`.replaceAll("\n", "\\n");
}
