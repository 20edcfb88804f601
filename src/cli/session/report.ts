// Prints messages for the user on stderr in the form of the systemd tools: without a prefix, coloured by priority on a
// terminal, filtered by $SYSTEMD_LOG_LEVEL, suppressed by $SYSTEMD_LOG_TARGET=null (systemd(1), "Environment").

import { LOG_LEVELS, type LogLevel, parseLogLevel } from "../../base/log-level.ts";
import { own } from "../format/own-sequence.ts";
import { type Environment, isDumb, parseBoolean, type Terminal } from "../format/terminal.ts";
import type { Output } from "./output.ts";

/** Facility "daemon" of syslog(3), which the systemd tools log under. */
const FACILITY_DAEMON = 3 << 3;

/** Prints messages, one line each. */
export class Report {
  readonly #output: Output;
  readonly #terminal: Terminal;
  readonly #most: number;
  readonly #prefixed: boolean;
  readonly #coloured: boolean;
  readonly #endsWithReturn: boolean;

  constructor(output: Output, terminal: Terminal, env: Environment) {
    this.#output = output;
    this.#terminal = terminal;
    const target = env["SYSTEMD_LOG_TARGET"];
    const level = LOG_LEVELS.indexOf(parseLogLevel(env["SYSTEMD_LOG_LEVEL"] ?? "") ?? "info");
    this.#most = target === "null" ? -1 : level;
    this.#prefixed = target === "console-prefixed";
    this.#coloured = parseBoolean(env["SYSTEMD_LOG_COLOR"] ?? "yes") !== false;
    this.#endsWithReturn = terminal.stderrIsTty && !isDumb(env);
  }

  /** Prints the message of a Failure and, on a terminal, its hint. */
  failure({ message, hint }: { readonly message: string; readonly hint?: string | undefined }): void {
    for (const line of message.split("\n")) this.error(line);
    if (hint !== undefined && this.#terminal.stderrIsTty) this.info(hint);
  }

  error(line: string): void {
    this.log("err", line);
  }

  warning(line: string): void {
    this.log("warning", line);
  }

  notice(line: string): void {
    this.log("notice", line);
  }

  info(line: string): void {
    this.log("info", line);
  }

  debug(line: string): void {
    this.log("debug", line);
  }

  /**
   * Prints one line unless its level is filtered out. On a terminal the line ends with a carriage return as well,
   * because the terminal may be in raw mode.
   */
  log(level: LogLevel, line: string): void {
    const number = LOG_LEVELS.indexOf(level);
    if (number > this.#most) return;
    const colour = this.#coloured ? this.#colourOf(number) : "";
    const text = colour === "" ? line : `${colour}${line}${this.#terminal.paint.normal}`;
    const prefix = this.#prefixed ? `<${FACILITY_DAEMON + number}>` : "";
    const end = this.#endsWithReturn && !this.#output.hasPager ? own("\r\n") : "\n";
    this.#output.writeError(prefix + text + end);
  }

  #colourOf(number: number): string {
    const { paint } = this.#terminal;
    if (number <= 3) return paint.red;
    if (number === 4) return paint.yellow;
    if (number === 5) return paint.bright;
    return number === 7 ? paint.grey : "";
  }
}
