// Lines for the admin, on standard error, by consola: one line for each event. Under a service manager that keeps the
// line, `<3>` in front says how serious it is (sd-daemon(3)); on a terminal consola colours it instead.

import { type ConsolaInstance, type ConsolaReporter, createConsola, type LogType } from "consola/core";
import { withoutControls } from "./control-characters.ts";

export const LOG_LEVELS = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Lines for the admin: one for each event, with fields as the journal keeps them. */
export interface Log {
  info(message: string, fields?: Readonly<Record<string, string>>): void;
  warning(message: string, fields?: Readonly<Record<string, string>>): void;
  debug(message: string, fields?: Readonly<Record<string, string>>): void;
}

/** consola's kinds of message by syslog priority. */
const KINDS: Readonly<Record<LogLevel, LogType>> = {
  emerg: "fatal",
  alert: "fatal",
  crit: "fatal",
  err: "error",
  warning: "warn",
  notice: "log",
  info: "info",
  debug: "debug",
};

type Prefix = "priority" | "none";

/** Writes lines with the given prefix; `write` takes whole lines. */
export class LineLog {
  readonly #consola: ConsolaInstance;
  readonly #prefix: Prefix;

  constructor(prefix: Prefix, write: (line: string) => void) {
    const reporter: ConsolaReporter = { log: ({ args }) => write(`${args.join(" ")}\n`) };
    this.#prefix = prefix;
    // What is worth a line is decided by who calls: consola's own levels know no notice and no crit.
    this.#consola = createConsola({ level: Number.POSITIVE_INFINITY, reporters: [reporter] });
  }

  line(level: LogLevel, message: string): void {
    const priority = LOG_LEVELS.indexOf(level);
    for (const text of withoutControls(message).split("\n")) {
      this.#consola[KINDS[level]](this.#prefix === "priority" ? `<${priority}>${text}` : text);
    }
  }
}
