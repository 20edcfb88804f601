// The events of io.machined.Events and `machinectl events`, by type.
import { defineStringTable } from "../string-table.ts";

/** What an event is about. `log` events are sent to one reader, about its own position in the log. */
export const EVENT_TYPES = defineStringTable(["machine", "address", "resource", "image", "transfer", "log"]);
export type EventType = (typeof EVENT_TYPES.values)[number];

/** The types that a reader can select; `log` events are always sent. */
export const CHOSEN_TYPES = defineStringTable(["machine", "address", "resource", "image", "transfer"]);

/** The events of each type. */
export const EVENTS = {
  machine: ["started", "paused", "resumed", "leader-exited", "ended"],
  address: ["added", "removed"],
  resource: ["oom", "pids-limit"],
  image: ["added", "changed", "removed"],
  transfer: ["started", "progress", "ended"],
  log: ["begin", "missed", "end"],
} as const satisfies Readonly<Record<EventType, readonly string[]>>;

/** How a machine ended. */
export const ENDINGS = defineStringTable(["exited", "killed", "unregistered", "host_shutdown"]);
