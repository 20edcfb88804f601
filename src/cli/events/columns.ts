// The columns of `machinectl events`: the fields of events (docs/events.md), and the name that a line shows.
import { textCell } from "../format/table.ts";
import type { Column } from "../list/column.ts";
import { type SeenEvent, subjectOf, timeText } from "./event.ts";

type EventColumn = Column<SeenEvent>;

/** Returns the column of a field. Its cell has no value where an event lacks the field, or has no single value. */
function field(key: string, type: EventColumn["type"], description: string): EventColumn {
  return {
    ...{ key, type, description },
    cell: (event) => {
      const value = event[key];
      if (value === undefined || value === null || typeof value === "object") return textCell("");
      return { ...textCell(String(value)), json: value };
    },
  };
}

/** The columns, the usual ones first. */
export const EVENT_COLUMNS: readonly EventColumn[] = [
  {
    ...{ key: "time", type: "time", description: "When it happened", isUsual: true },
    cell: (event) => ({ text: timeText(event), json: event.time }),
  },
  { ...field("type", "text", "What the event is about: machine, address, resource, image, transfer"), isUsual: true },
  { ...field("event", "text", "What happened"), isUsual: true },
  {
    ...{ key: "name", type: "text", description: "The machine or image that the event is about", isUsual: true },
    cell: (event) => textCell(subjectOf(event)),
  },
  field("machine", "text", "The machine"),
  field("image", "text", "The image"),
  field("local", "text", "The image of a transfer"),
  field("class", "text", "What the machine is: container or vm"),
  field("service", "text", "The program that runs the machine"),
  field("unit", "text", "The unit of the machine"),
  field("leader", "number", "The process id of its leader"),
  field("how", "text", "How the machine ended: exited, killed, unregistered or host_shutdown"),
  field("status", "number", "The exit status of its leader"),
  field("signal", "number", "The signal that ended its leader"),
  field("count", "number", "How often it happened"),
  field("address", "text", "The address"),
  field("ifindex", "number", "The interface with the address, by its number in the machine"),
  field("imageType", "text", "How the image is stored"),
  field("path", "text", "Where the image is"),
  field("readOnly", "boolean", "Whether the image is read-only"),
  field("transfer", "number", "The number of the transfer"),
  field("transferType", "text", "What the transfer does: pull_tar, import_raw and so on"),
  field("imageClass", "text", "What the image of the transfer is for"),
  field("remote", "text", "Where a download comes from"),
  field("progress", "number", "How much of the transfer is done, from 0 to 1"),
  field("result", "text", "How the transfer ended: done, canceled or failed"),
  field("cursor", "text", "The position in the log"),
  field("host", "text", "With --fleet: the host"),
];
