// The runs of one command line, one for each host: their arguments, their outputs, and their end.
import { errnoNameOf } from "../../base/error.ts";
import type { GivenOption } from "../../base/getopt.ts";
import type { ClientProgram, VerbRow } from "../command-line/verb-row.ts";
import { copyLines } from "../exec/many.ts";
import { EXIT_OURS } from "../exec/order.ts";
import { formatJson } from "../format/json.ts";
import { Failure, failed } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { pageJsonMode, tableJsonMode } from "../session/settings.ts";
import { collected, HostChild } from "./child.ts";
import { placedObjects } from "./print.ts";
import type { HostResult } from "./result.ts";
import { type HostsTemplate, templateFor } from "./template.ts";

/** One command line for several hosts. */
export interface ManyHostsOrder {
  readonly program: ClientProgram;
  readonly verb: VerbRow;
  /** The words after the verb. */
  readonly words: readonly string[];
  /** The options that were given, by their long names, as arguments. */
  readonly options: readonly GivenOption[];
}

/** The exit status of an interrupted command line, as in shells. */
export const EXIT_INTERRUPTED = 130;
/** Options that apply to this process only, and are not passed to the runs. */
const OWN_OPTIONS = ["host", "machine", "parallel", "json", "j", "no-pager"];
const MOST_REASON = 1000;

/** Returns the lines of an error stream as one. */
function reasonOf(stderr: string, status: number): string {
  const lines = stderr.split("\n").map((line) => line.trim());
  const text = lines.filter((line) => line !== "").join("; ");
  return text === "" ? `Failed with exit status ${status}` : text.slice(0, MOST_REASON);
}

/** The runs of one command line. */
export class Runs {
  readonly #session: Session;
  readonly #order: ManyHostsOrder;
  readonly #children = new Set<HostChild>();
  readonly #width: number;
  /** The template of a list. */
  readonly #template: HostsTemplate | null;
  isInterrupted = false;

  constructor(session: Session, order: ManyHostsOrder, hosts: readonly string[], template: HostsTemplate | null) {
    this.#template = template;
    this.#session = session;
    this.#order = order;
    this.#width = Math.max(...hosts.map((host) => host.length));
  }

  stopAll(): void {
    this.isInterrupted = true;
    for (const child of this.#children) child.stop();
  }

  #arguments(host: string, words: readonly string[]): string[] {
    const { verb, options } = this.#order;
    const passed = options
      .filter(({ name }) => !OWN_OPTIONS.includes(name) && name !== "template")
      .flatMap(({ args }) => args);
    const { settings } = this.#session;
    // As for one host: `-o json` of lists and events is JSON, of a page only its journal entries are.
    const mode = verb.hosts === "events" ? tableJsonMode(settings) : pageJsonMode(settings);
    const form = verb.hosts === "rows" ? ["--cells"] : mode === null ? [] : ["--json=short"];
    const { template } = settings.list;
    if (this.#template !== null) form.push(this.#template.option);
    else if (template !== null) form.push(`--template=${templateFor(host, template)}`);
    const reads = verb.meta.name === "exec" ? ["--stdin=no"] : [];
    return [
      ...passed,
      ...form,
      ...reads,
      "--no-ask-password",
      "--batch",
      `--host=${host}`,
      "--",
      verb.meta.name,
      ...words,
    ];
  }

  /** Runs the client for a host. */
  async run(host: string, words: readonly string[]): Promise<HostResult> {
    if (this.isInterrupted) return { host, text: "", status: EXIT_INTERRUPTED, error: "Interrupted" };
    const child = this.#start(host, words);
    if (child instanceof Failure) return { host, text: "", status: EXIT_OURS, error: child.message };
    this.#children.add(child);
    try {
      return await this.#result(host, child);
    } finally {
      this.#children.delete(child);
    }
  }

  /** Returns a Failure where the child cannot be started: the others have their answers nevertheless. */
  #start(host: string, words: readonly string[]): HostChild | Failure {
    try {
      return new HostChild(this.#order.program.name, this.#arguments(host, words));
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      return failed("Failed to start its client", error);
    }
  }

  async #result(host: string, child: HostChild): Promise<HostResult> {
    const { hosts } = this.#order.verb;
    const { output, report, settings } = this.#session;
    // The lines of a template have the host where the template has it.
    const hasTemplate = hosts === "events" && settings.list.template !== null;
    const prefix = hasTemplate ? "" : `${host.padEnd(this.#width)} | `;
    const toOutput = (text: string) => {
      output.write(text);
      // A command may write forever, although nobody reads it any more.
      if (output.isOver) this.stopAll();
    };
    if (hosts === "streams") {
      await Promise.all([
        copyLines(child.stdout, prefix, toOutput),
        copyLines(child.stderr, prefix, (text) => output.writeError(text)),
      ]);
      return { host, text: "", status: await child.exited(), error: null };
    }
    const stdout = hosts === "events" ? this.#passEvents(host, child, prefix).then(() => "") : collected(child.stdout);
    const [text, stderr] = await Promise.all([stdout, collected(child.stderr)]);
    const status = await child.exited();
    if (status !== 0 && hosts === "events") return this.#failedEvents(host, status, stderr);
    if (status !== 0 && hosts === "silent") return this.#failedSilently(host, status, stderr);
    if (status !== 0) return { host, text, status, error: reasonOf(stderr, status) };
    // ssh(1) ends its lines with CR LF.
    for (const line of stderr.split(/\r?\n/)) if (line !== "") report.warning(`${host}: ${line}`);
    return { host, text, status, error: null };
  }

  /** Prints the failure of a host at once, because other hosts may take long. */
  #failedEvents(host: string, status: number, stderr: string): HostResult {
    const { settings, output, report, terminal } = this.#session;
    if (this.isInterrupted) return { host, text: "", status: 0, error: null };
    const error = reasonOf(stderr, status);
    const mode = tableJsonMode(settings);
    if (mode !== null) output.write(formatJson({ host, error }, mode, terminal.paint));
    report.error(`${host}: ${error}`);
    return { host, text: "", status, error: null };
  }

  /** Prints the failure of a host at once, because what other hosts were asked for, as `wait`, may take long. */
  #failedSilently(host: string, status: number, stderr: string): HostResult {
    const { settings, report } = this.#session;
    const isSilent = this.isInterrupted || (settings.quiet && stderr.trim() === "");
    if (!isSilent) report.error(`${host}: ${reasonOf(stderr, status)}`);
    return { host, text: "", status, error: null };
  }

  async #passEvents(host: string, child: HostChild, prefix: string): Promise<void> {
    const { settings, output, terminal } = this.#session;
    const mode = tableJsonMode(settings);
    if (mode === null) return copyLines(child.stdout, prefix, (text) => output.write(text));
    return copyLines(child.stdout, "", (line) => {
      // The run may have been ended in the middle of its last line.
      for (const event of placedObjects(host, line) ?? []) output.write(formatJson(event, mode, terminal.paint));
    });
  }
}
