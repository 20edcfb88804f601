// A daemon's log: to the journal, with fields, where there is one; otherwise lines on standard error. Level and target
// can be changed at run time (org.freedesktop.LogControl1(5)).
import { existsSync } from "node:fs";
import { invalidArgument } from "../base/error.ts";
import { LineLog, type Log } from "../base/log.ts";
import { LOG_LEVELS, type LogLevel, parseLogLevel } from "../base/log-level.ts";
import { defineStringTable } from "../base/string-table.ts";
import { withoutControls } from "../base/text/control-characters.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { datagramSocket, sendDatagram, unixAddress } from "../kernel/socket/unix.ts";
import type { Pinned } from "../kernel/syscall/mem.ts";
import { isTerminal } from "../kernel/terminal/is-terminal.ts";
import { StandardError } from "./standard-error.ts";

const JOURNAL = "/run/systemd/journal/socket";
/** Facilities of syslog(3); machined logs to `auth`, as the original does. */
const FACILITIES = { daemon: 3, auth: 4 } as const;
const TARGETS = defineStringTable([
  "console",
  "console-prefixed",
  "kmsg",
  "journal",
  "journal-or-kmsg",
  "syslog",
  "syslog-or-kmsg",
  "auto",
  "null",
]);

/** The part of a log that LogControl1 reads and sets. */
export interface LogControlState {
  readonly level: string;
  readonly target: string;
  readonly identifier: string;
  setLevel(level: string): void;
  setTarget(target: string): void;
}

type Fields = Readonly<Record<string, string>>;

export class DaemonLog implements Log, LogControlState {
  readonly identifier: string;
  readonly #facility: number;
  readonly #lines: LineLog;
  readonly #stderr: StandardError;
  #level: LogLevel = "info";
  #target: string = "auto";
  #journal: { socket: Fd; address: Pinned } | null = null;

  /** Takes the initial level and target from $SYSTEMD_LOG_LEVEL and $SYSTEMD_LOG_TARGET. */
  constructor(identifier: string, facility: keyof typeof FACILITIES) {
    this.identifier = identifier;
    this.#facility = FACILITIES[facility];
    const prefix = isTerminal(2) ? "none" : "priority";
    const mark = prefix === "none" ? "" : `<${LOG_LEVELS.indexOf("warning")}>`;
    this.#stderr = new StandardError((count) => `${mark}${droppedText(count)}\n`);
    this.#lines = new LineLog(prefix, (line) => this.#stderr.write(line));
    this.#level = parseLogLevel(process.env["SYSTEMD_LOG_LEVEL"] ?? "") ?? "info";
    this.#target = TARGETS.parse(process.env["SYSTEMD_LOG_TARGET"] ?? "") ?? "auto";
    // As in the original, LogControl1 shows the target that "auto" selected.
    if (this.#target === "auto" && process.env["JOURNAL_STREAM"] !== undefined) this.#target = "journal";
  }

  get level(): string {
    return this.#level;
  }

  get target(): string {
    return this.#target;
  }

  setLevel(level: string): void {
    const known = parseLogLevel(level);
    if (known === undefined) throw invalidArgument("level", `Invalid log level '${level}'`);
    this.#level = known;
  }

  setTarget(target: string): void {
    const known = TARGETS.parse(target);
    if (known === undefined) throw invalidArgument("target", `Invalid log target '${target}'`);
    this.#target = known;
  }

  info(message: string, fields: Fields = {}): void {
    this.write("info", message, fields);
  }

  warning(message: string, fields: Fields = {}): void {
    this.write("warning", message, fields);
  }

  error(message: string, fields: Fields = {}): void {
    this.write("err", message, fields);
  }

  debug(message: string, fields: Fields = {}): void {
    this.write("debug", message, fields);
  }

  write(level: LogLevel, message: string, fields: Fields): void {
    if (LOG_LEVELS.indexOf(level) > LOG_LEVELS.indexOf(this.#level) || this.#target === "null") return;
    if (this.#wantsJournal() && this.#toJournal(level, message, fields)) {
      const dropped = this.#stderr.takeDropped();
      if (dropped > 0) this.warning(droppedText(dropped));
      return;
    }
    try {
      this.#lines.line(level, message);
    } catch {
      // Standard error is closed or broken; there is nowhere else to report that.
    }
  }

  #wantsJournal(): boolean {
    if (/^(journal|syslog)/.test(this.#target)) return true;
    return this.#target === "auto" && process.env["JOURNAL_STREAM"] !== undefined;
  }

  #toJournal(level: LogLevel, message: string, fields: Fields): boolean {
    try {
      if (this.#journal === null) {
        if (!existsSync(JOURNAL)) return false;
        this.#journal = { socket: datagramSocket(), address: unixAddress(JOURNAL) };
      }
      const entry = encodeEntry({
        PRIORITY: String(LOG_LEVELS.indexOf(level)),
        SYSLOG_FACILITY: String(this.#facility),
        SYSLOG_IDENTIFIER: this.identifier,
        ...fields,
        // journalctl shows a message with control characters as "blob data".
        MESSAGE: withoutControls(message),
      });
      return sendDatagram(this.#journal.socket, entry, [], this.#journal.address);
    } catch {
      return false;
    }
  }
}

function droppedText(count: number): string {
  return `${count} lines of the log were dropped: nobody read them.`;
}

/**
 * Encodes an entry in the journal's native protocol: KEY=VALUE lines; a value with a newline has its length in front.
 */
function encodeEntry(fields: Fields): Buffer {
  const parts: Buffer[] = [];
  for (const [key, value] of Object.entries(fields)) {
    if (!value.includes("\n")) parts.push(Buffer.from(`${key}=${value}\n`));
    else {
      const bytes = Buffer.from(value);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      parts.push(Buffer.from(`${key}\n`), length, bytes, Buffer.from("\n"));
    }
  }
  return Buffer.concat(parts);
}
