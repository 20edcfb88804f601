// What the terminal can show: colours, UTF-8, links, width. Derived once from the environment and from which standard
// streams are terminals, as systemd(1) describes for $SYSTEMD_COLORS, $NO_COLOR, $COLORTERM, $TERM, $COLUMNS and the
// locale variables.

import { own } from "./own-sequence.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** How many colours the escape sequences may use. */
type ColorMode = "off" | "16" | "256" | "24bit";

/** Escape sequences by meaning. All are empty strings when colours are off. */
export interface Paint {
  readonly normal: string;
  readonly green: string;
  readonly brightGreen: string;
  readonly red: string;
  readonly yellow: string;
  readonly bright: string;
  readonly brightBlue: string;
  readonly brightCyan: string;
  readonly grey: string;
  readonly brightGrey: string;
  readonly italic: string;
  /** Adds underlining to the colours that are in effect; empty on the Linux console, which has no underlining. */
  readonly underline: string;
}

/** The characters that differ between UTF-8 and ASCII terminals. */
interface Glyphs {
  readonly ellipsis: string;
  readonly arrow: string;
  readonly bullet: string;
  readonly branch: string;
  readonly lastBranch: string;
  readonly vertical: string;
  readonly space: string;
}

const UTF8_GLYPHS: Glyphs = {
  ellipsis: "…",
  arrow: "→",
  bullet: "‣",
  branch: "├─",
  lastBranch: "└─",
  vertical: "│ ",
  space: "  ",
};

const ASCII_GLYPHS: Glyphs = {
  ellipsis: "...",
  arrow: "->",
  bullet: ">",
  branch: "|-",
  lastBranch: "`-",
  vertical: "| ",
  space: "  ",
};

/** Everything about the terminal that output depends on. */
export interface Terminal {
  /** Whether both stdout and stderr are terminals. */
  readonly isTty: boolean;
  readonly stdoutIsTty: boolean;
  readonly stderrIsTty: boolean;
  /** Whether $TERM is `dumb` or unset, or `isTty` is false. */
  readonly isDumb: boolean;
  readonly colors: ColorMode;
  /** Whether OSC 8 links may be printed: as $SYSTEMD_URLIFY says, else wherever colours are on. */
  readonly links: boolean;
  readonly utf8: boolean;
  readonly paint: Paint;
  readonly glyphs: Glyphs;
  /** The width of stdout: $COLUMNS, else that of the terminal, else 80. */
  readonly columns: number;
  /** The same for stderr. */
  readonly stderrColumns: number;
}

/** Parses a boolean of systemd: 1/yes/y/true/t/on and 0/no/n/false/f/off; undefined for other text. */
export function parseBoolean(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (["1", "yes", "y", "true", "t", "on"].includes(word)) return true;
  if (["0", "no", "n", "false", "f", "off"].includes(word)) return false;
  return undefined;
}

const MODES: ReadonlyMap<string, ColorMode> = new Map([
  ["16", "16"],
  ["256", "256"],
  ["24bit", "24bit"],
]);
/** Before a mode: use that many colours where colours are used at all (systemd 258 and later). */
const AUTO = /^auto-/;

function richMode(env: Environment): ColorMode {
  return env["COLORTERM"] === "truecolor" || env["COLORTERM"] === "24bit" ? "24bit" : "256";
}

/** Whether nothing is known of the terminal: $TERM is `dumb` or unset. */
export function isDumb(env: Environment): boolean {
  return env["TERM"] === undefined || env["TERM"] === "dumb";
}

/** Returns the colour mode for an environment. `isTty` says whether both stdout and stderr are terminals. */
export function colorMode(env: Environment, isTty: boolean): ColorMode {
  const wish = env["SYSTEMD_COLORS"];
  if (wish !== undefined) {
    const mode = MODES.get(wish);
    if (mode !== undefined) return mode;
    const on = parseBoolean(wish);
    if (on !== undefined) return on ? richMode(env) : "off";
  }
  if (env["NO_COLOR"] !== undefined || !isTty || isDumb(env)) return "off";
  const many = wish !== undefined && AUTO.test(wish) ? MODES.get(wish.replace(AUTO, "")) : undefined;
  return many ?? richMode(env);
}

/**
 * Whether output may contain UTF-8: as $SYSTEMD_UTF8 says, else by the character set of the locale. An environment that
 * sets no locale counts as UTF-8; one that sets C or POSIX does not.
 */
export function isUtf8(env: Environment): boolean {
  const wish = env["SYSTEMD_UTF8"] === undefined ? undefined : parseBoolean(env["SYSTEMD_UTF8"]);
  if (wish !== undefined) return wish;
  const variables = [env["LC_ALL"], env["LC_CTYPE"], env["LANG"]];
  if (variables.every((variable) => variable === undefined)) return true;
  // The C library takes an empty variable for one that is not set, and C where all are.
  const locale = variables.find((variable) => variable !== undefined && variable !== "") ?? "C";
  if (locale === "C" || locale === "POSIX") return false;
  const charset = /\.([^@]*)/.exec(locale)?.[1];
  return charset === undefined || /^utf-?8$/i.test(charset);
}

/** The paint of a terminal without colours. */
export const NO_PAINT: Paint = {
  normal: "",
  green: "",
  brightGreen: "",
  brightCyan: "",
  brightGrey: "",
  red: "",
  yellow: "",
  bright: "",
  brightBlue: "",
  grey: "",
  italic: "",
  underline: "",
};

function paintFor(colors: ColorMode, env: Environment): Paint {
  if (colors === "off") return NO_PAINT;
  // A 256-colour terminal is sent both sequences: if it does not know the second, the first stays in effect.
  const rich = (basic: string, weight: string, colour: number) =>
    (colors === "24bit" ? "" : `\u001b[0;${weight}${basic}m`) +
    (colors === "16" ? "" : `\u001b[0;${weight}38:5:${colour}m`);
  return {
    normal: own("\u001b[0m"),
    green: own("\u001b[0;32m"),
    brightGreen: own("\u001b[0;1;32m"),
    brightCyan: own("\u001b[0;1;36m"),
    red: own("\u001b[0;1;31m"),
    // The yellow of the 16 colours is hardly legible on some terminals.
    yellow: own(rich("33", "1;", 185)),
    bright: own("\u001b[0;1;39m"),
    brightBlue: own("\u001b[0;1;34m"),
    grey: own(rich("90", "", 245)),
    brightGrey: own(rich("90", "1;", 245)),
    italic: own("\u001b[3m"),
    underline: env["TERM"] === "linux" ? "" : own("\u001b[4m"),
  };
}

function columnsFor(env: Environment, ttyColumns: number | undefined): number {
  const wish = Number(env["COLUMNS"] ?? "");
  if (Number.isInteger(wish) && wish > 0 && wish <= 0xffff) return wish;
  return ttyColumns !== undefined && ttyColumns > 0 ? ttyColumns : 80;
}

/**
 * Returns what the terminal can show. `ttys` says which of stdout and stderr are terminals; its `columns` queries the
 * width of one, and is called only when a width of the result is read, because the query is slow.
 */
export function readTerminal(
  env: Environment,
  ttys: { stdout: boolean; stderr: boolean; columns: (fd: 1 | 2) => number | undefined },
): Terminal {
  const isTty = ttys.stdout && ttys.stderr;
  const colors = colorMode(env, isTty);
  const utf8 = isUtf8(env);
  return {
    isTty,
    stdoutIsTty: ttys.stdout,
    stderrIsTty: ttys.stderr,
    isDumb: !isTty || isDumb(env),
    colors,
    links: parseBoolean(env["SYSTEMD_URLIFY"] ?? "") ?? colors !== "off",
    utf8,
    paint: paintFor(colors, env),
    glyphs: utf8 ? UTF8_GLYPHS : ASCII_GLYPHS,
    get columns() {
      return columnsFor(env, ttys.stdout ? ttys.columns(1) : undefined);
    },
    get stderrColumns() {
      return columnsFor(env, ttys.stderr ? ttys.columns(2) : undefined);
    },
  };
}
