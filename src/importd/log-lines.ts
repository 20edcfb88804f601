// Splits a worker's standard error into lines, each ended by a line feed or a NUL, and reads the priority at the
// beginning of each (sd-daemon(3)). Empty lines are dropped.

/** The longest line; the rest of a longer one becomes the next line. */
const LINE_BYTES = 2048;
const NEWLINE = 0x0a;
const NUL = 0x00;

/** The priority of a line that has none of its own: `info`, without a facility. */
const PLAIN_PRIORITY = 6;
/** Facilities go up to 23, in steps of 8. */
const PRIORITY_LIMIT = 24 * 8;

export interface LogLine {
  /** Priority and facility, combined as in syslog(3). */
  readonly priority: number;
  readonly text: string;
}

export class LogLines {
  readonly #emit: (line: LogLine) => void;
  #rest: Buffer = Buffer.alloc(0);

  constructor(emit: (line: LogLine) => void) {
    this.#emit = emit;
  }

  /** Adds data that was read. */
  push(bytes: Buffer): void {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const end = rest.findIndex((byte, index) => byte === NEWLINE || byte === NUL || index === LINE_BYTES);
      if (end < 0) break;
      this.#line(rest.subarray(0, end));
      rest = rest.subarray(end === LINE_BYTES && !isEnd(rest[end]) ? end : end + 1);
    }
    this.#rest = Buffer.from(rest);
  }

  /** Reports the last line where it has no end; called after the last `push()`. */
  flush(): void {
    this.#line(this.#rest);
    this.#rest = Buffer.alloc(0);
  }

  #line(bytes: Buffer): void {
    const text = bytes.toString();
    const [prefix = "", digits = ""] = /^<(\d{1,3})>/.exec(text) ?? [];
    const priority = digits === "" || Number(digits) >= PRIORITY_LIMIT ? null : Number(digits);
    const line = priority === null ? text : text.slice(prefix.length);
    if (line.trim() !== "") this.#emit({ priority: priority ?? PLAIN_PRIORITY, text: printable(line) });
  }
}

function isEnd(byte: number | undefined): boolean {
  return byte === NEWLINE || byte === NUL;
}

/**
 * Replaces control characters: D-Bus strings cannot have a NUL, and a server must not send escape sequences to
 * terminals.
 */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are replaced
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "?");
}
