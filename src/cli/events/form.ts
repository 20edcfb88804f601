// How `machinectl events` prints an event: a line for people, the columns of --columns=, the line of --template=, or
// JSON; and which events --filter= leaves out.
import { UTC } from "../../base/text/format.ts";
import { formatJson, type Json } from "../format/json.ts";
import type { CellContext } from "../list/column.ts";
import { planOf } from "../list/plan.ts";
import { passesFilters, rowJson } from "../list/print.ts";
import { renderTemplate } from "../list/template.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { tableJsonMode } from "../session/settings.ts";
import { EVENT_COLUMNS } from "./columns.ts";
import type { SeenEvent } from "./event.ts";

const CONTEXT: CellContext = { zone: UTC, nowUsec: 0n, mostLines: 1 };

/** The form in which the events of one call are printed. */
export interface EventForm {
  /** Whether the event passes --filter=. */
  passes(event: SeenEvent): boolean;
  /** Returns the printed text of an event; `line` returns the line for people, without its newline. */
  text(event: SeenEvent, line: () => string): string;
}

/** Parses the options. Throws a Failure for an unknown column, and for options that exclude each other. */
export function eventForm({ settings, terminal }: Session): EventForm {
  const { list } = settings;
  if (list.sort !== null)
    throw new Failure("--sort= cannot be used: events are printed in the order in which they happened");
  const { shown, filters, template } = planOf(settings, EVENT_COLUMNS);
  const mode = tableJsonMode(settings);
  return {
    passes: (event) => passesFilters(event, filters, CONTEXT),
    text: (event, line) => {
      if (template !== null) return renderTemplate(template, (column) => column.cell(event, CONTEXT));
      if (mode !== null) {
        const document = list.columns === null ? (event as Record<string, Json>) : rowJson(event, shown, CONTEXT, "1");
        return formatJson(document, mode, terminal.paint);
      }
      if (list.columns === null) return `${line()}\n`;
      return `${shown.map((column) => column.cell(event, CONTEXT).text).join(" ")}\n`;
    },
  };
}
