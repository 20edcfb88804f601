// A worker's standard error as lines: ended by a line end or a NUL, empty ones dropped, each with the priority that the
// worker put in front of it (sd-daemon(3)).

/** The length at which a line is cut: what follows is the next one. */
const LINE_BYTES = 2048;
const NEWLINE = 0x0a;
const NUL = 0x00;

/** What a line without priority has: `info`, with no facility. */
const PLAIN_PRIORITY = 6;
/** Facilities go up to 23, in steps of 8. */
const PRIORITY_LIMIT = 24 * 8;

export interface LogLine {
  /** Priority and facility, as syslog(3) puts them together. */
  readonly priority: number;
  readonly text: string;
}

export class LogLines {
  readonly #emit: (line: LogLine) => void;
  #rest: Buffer = Buffer.alloc(0);

  constructor(emit: (line: LogLine) => void) {
    this.#emit = emit;
  }

  /** Takes what was read. */
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

  /** Nothing more will come: the last line may have no end. */
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

/** D-Bus carries no NUL, and a terminal should get no escape sequences of a server that is downloaded from. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "?");
}
