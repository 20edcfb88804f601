// `--template=` with several hosts. The runs print their lists with the columns of the template, from which this client
// prints the lines; `{{host}}` is the host.
import type { ColumnRow, VerbRow } from "../command-line/verb-row.ts";
import { type Cell, textCell } from "../format/table.ts";
import { checkTemplate } from "../list/plan.ts";
import { parseTemplate, renderTemplate, type Template } from "../list/template.ts";
import type { Session } from "../session/session.ts";

const HOST: ColumnRow = { key: "host", type: "text", description: "The host" };

/** The template of a command line for several hosts. */
export class HostsTemplate {
  readonly #template: Template<ColumnRow>;
  /** The columns that the runs print, in their order. */
  readonly #columns: readonly ColumnRow[];

  private constructor(template: Template<ColumnRow>, columns: readonly ColumnRow[]) {
    this.#template = template;
    const named = template.columns.filter((column) => column !== HOST);
    // A list has one column at least.
    this.#columns = named.length > 0 ? named : columns.slice(0, 1);
  }

  /**
   * Parses the template of a verb that prints rows; null without one. Throws a Failure for an invalid one, and for
   * options that exclude it.
   */
  static async of({ settings }: Session, verb: VerbRow): Promise<HostsTemplate | null> {
    const text = settings.list.template;
    if (text === null || verb.hosts !== "rows") return null;
    checkTemplate(settings);
    const columns = (await verb.columns?.()) ?? [];
    return new HostsTemplate(parseTemplate(text, [HOST, ...columns]), columns);
  }

  /** The option for the runs. */
  get option(): string {
    return `--columns=${this.#columns.map(({ key }) => key).join(",")}`;
  }

  /** Returns the line for a row of a host. */
  line(host: string, cells: readonly Cell[]): string {
    return renderTemplate(this.#template, (column) =>
      column === HOST ? textCell(host) : (cells[this.#columns.indexOf(column)] ?? textCell("")),
    );
  }
}

/** Returns a template of `events` for the run of a host, which does not know by what name it was called. */
export function templateFor(host: string, template: string): string {
  return template.replace(/\{\{\s*host\s*\}\}/g, () => host.replaceAll("\\", "\\\\"));
}
