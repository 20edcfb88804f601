// KEY=VALUE files: os-release(5), machine-info(5), and the state files of this registry.
// The parser accepts what systemd's does (both quotes, backslashes, comments, continuation lines); it accepts any text
// and never throws, because machines, which are not trusted, write the files.

/** Returns the assignments in file order; a repeated key has its first position and its last value. */
export function parseEnvFile(text: string): Map<string, string> {
  const entries = new Map<string, string>();
  const scanner = new Scanner(text.replaceAll("\0", ""));
  for (let entry = scanner.next(); entry !== null; entry = scanner.next()) entries.set(entry[0], entry[1]);
  return entries;
}

const KEY = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** An assignment without escapes, which most are; it is read in one step, because a starting daemon reads thousands. */
const PLAIN_LINE = /([A-Za-z_][A-Za-z0-9_]*)=(?:([A-Za-z0-9@%_+=:,./-]*)|"([^"\\]*)")(?:\n|$)/y;

class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  next(): [string, string] | null {
    while (this.#at < this.#text.length) {
      this.#skipBlanks();
      const char = this.#text[this.#at];
      if (char === undefined) return null;
      if (char === "\n" || char === "\r") this.#at++;
      else if (char === "#" || char === ";") this.#skipComment();
      else {
        const plain = this.#plainLine();
        if (plain !== null) return plain;
        const key = this.#key();
        if (key === null) continue;
        return [key, this.#value()];
      }
    }
    return null;
  }

  #plainLine(): [string, string] | null {
    PLAIN_LINE.lastIndex = this.#at;
    const [line, key, bare, quoted] = PLAIN_LINE.exec(this.#text) ?? [];
    if (line === undefined || key === undefined) return null;
    this.#at += line.length;
    return [key, bare ?? quoted ?? ""];
  }

  #skipBlanks(): void {
    while (this.#text[this.#at] === " " || this.#text[this.#at] === "\t") this.#at++;
  }

  /** Skips to the end of the line; a line that ends with a backslash continues the comment. */
  #skipComment(): void {
    for (; this.#at < this.#text.length; this.#at++) {
      if (this.#text[this.#at] === "\\") this.#at++;
      else if (this.#text[this.#at] === "\n") return;
    }
  }

  /** Returns the key before `=`; skips the line and returns null where it is not an assignment. */
  #key(): string | null {
    const start = this.#at;
    while (this.#at < this.#text.length && this.#text[this.#at] !== "=" && this.#text[this.#at] !== "\n") this.#at++;
    const key = this.#text.slice(start, this.#at).trimEnd();
    if (this.#text[this.#at] !== "=") return null;
    this.#at++;
    if (KEY.test(key)) return key;
    this.#value();
    return null;
  }

  #value(): string {
    this.#skipBlanks();
    let value = "";
    let kept = 0; // the length without trailing blanks, except quoted or escaped ones
    for (let char = this.#text[this.#at]; char !== undefined && char !== "\n" && char !== "\r"; ) {
      if (char === "'" || char === '"') {
        value += this.#quoted(char);
        kept = value.length;
      } else if (char === "\\") {
        const next = this.#text[this.#at + 1];
        this.#at += 2;
        if (next !== undefined && next !== "\n") value += next;
        kept = value.length;
      } else {
        value += char;
        this.#at++;
        if (char !== " " && char !== "\t") kept = value.length;
      }
      char = this.#text[this.#at];
    }
    return value.slice(0, kept);
  }

  #quoted(quote: string): string {
    let value = "";
    this.#at++;
    for (let char = this.#text[this.#at]; char !== undefined && char !== quote; char = this.#text[this.#at]) {
      if (char === "\\" && quote === '"') {
        const next = this.#text[this.#at + 1];
        this.#at += 2;
        if (next === undefined) break;
        if (next === "\n") continue;
        // In double quotes a backslash escapes only these characters (state files of 252 double every backslash).
        value += '"\\`$'.includes(next) ? next : `\\${next}`;
      } else {
        value += char;
        this.#at++;
      }
    }
    this.#at++;
    return value;
  }
}

const PLAIN = /^[A-Za-z0-9@%_+=:,./-]*$/;

/** Returns a value as it is written after `=`: in double quotes where it has special characters or is empty. */
export function quoteEnvValue(value: string): string {
  if (value !== "" && PLAIN.test(value)) return value;
  return `"${value.replaceAll(/["\\`$]/g, "\\$&")}"`;
}
