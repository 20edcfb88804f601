// Log lines for standard error, written through consola. Under a service manager, each line begins with its priority,
// such as `<3>` (sd-daemon(3)).
import { type ConsolaInstance, type ConsolaReporter, createConsola, type LogType } from "consola/core";
import { LOG_LEVELS, type LogLevel } from "./log-level.ts";
import { withoutControls } from "./text/control-characters.ts";

/** The log for the administrator: one message for each event, with fields for the journal. */
export interface Log {
  info(message: string, fields?: Readonly<Record<string, string>>): void;
  warning(message: string, fields?: Readonly<Record<string, string>>): void;
  debug(message: string, fields?: Readonly<Record<string, string>>): void;
}

/** consola's type of message for each syslog level. */
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

/** Writes lines with or without a priority; `write` takes one whole line, newline included. */
export class LineLog {
  readonly #consola: ConsolaInstance;
  readonly #prefix: Prefix;

  constructor(prefix: Prefix, write: (line: string) => void) {
    const reporter: ConsolaReporter = { log: ({ args }) => write(`${args.join(" ")}\n`) };
    this.#prefix = prefix;
    // consola passes every message: its levels lack notice and crit, so callers filter by level.
    this.#consola = createConsola({ level: Number.POSITIVE_INFINITY, reporters: [reporter] });
  }

  /** Writes each line of a message, with control characters escaped. */
  line(level: LogLevel, message: string): void {
    const priority = LOG_LEVELS.indexOf(level);
    for (const text of withoutControls(message).split("\n")) {
      this.#consola[KINDS[level]](this.#prefix === "priority" ? `<${priority}>${text}` : text);
    }
  }
}
