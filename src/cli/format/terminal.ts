// What the terminal can show: colours, UTF-8, width. Decided once from environment and ttys, as systemd(1) describes for
// $SYSTEMD_COLORS, $NO_COLOR, $COLORTERM, $TERM, $COLUMNS and the locale variables.

import { own } from "./own-sequence.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** How many colours are used. */
type ColorMode = "off" | "16" | "256" | "24bit";

/** Escape sequences by meaning; every one is empty when there are no colours. */
export interface Paint {
  readonly normal: string;
  readonly green: string;
  readonly red: string;
  readonly yellow: string;
  readonly bright: string;
  readonly brightBlue: string;
  readonly grey: string;
  readonly italic: string;
  /** Underline added to what is set already; empty on the Linux console, which cannot do it. */
  readonly underline: string;
}

/** The signs that differ between UTF-8 and other terminals. */
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

/** All that output depends on. `isTty` means stdout and stderr are terminals; `columns` is the width to fill on stdout. */
export interface Terminal {
  readonly isTty: boolean;
  readonly stdoutIsTty: boolean;
  readonly stderrIsTty: boolean;
  readonly isDumb: boolean;
  readonly colors: ColorMode;
  /** Whether text may be a link: $SYSTEMD_URLIFY, else where there are colours. */
  readonly links: boolean;
  readonly utf8: boolean;
  readonly paint: Paint;
  readonly glyphs: Glyphs;
  readonly columns: number;
  readonly stderrColumns: number;
}

/** A boolean of the environment or command line: 1/yes/y/true/t/on and 0/no/n/false/f/off; undefined for other text. */
export function parseBoolean(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (["1", "yes", "y", "true", "t", "on"].includes(word)) return true;
  if (["0", "no", "n", "false", "f", "off"].includes(word)) return false;
  return undefined;
}

const MODES: Readonly<Record<string, ColorMode>> = { "16": "16", "256": "256", "24bit": "24bit" };

function richMode(env: Environment): ColorMode {
  return env["COLORTERM"] === "truecolor" || env["COLORTERM"] === "24bit" ? "24bit" : "256";
}

function isDumb(env: Environment): boolean {
  return env["TERM"] === undefined || env["TERM"] === "dumb";
}

/** The colour mode for an environment; `isTty` says whether stdout and stderr are terminals. */
export function colorMode(env: Environment, isTty: boolean): ColorMode {
  const wish = env["SYSTEMD_COLORS"];
  if (wish !== undefined) {
    const mode = MODES[wish];
    if (mode !== undefined) return mode;
    const on = parseBoolean(wish);
    if (on !== undefined) return on ? richMode(env) : "off";
  }
  if (env["NO_COLOR"] !== undefined || !isTty || isDumb(env)) return "off";
  return richMode(env);
}

/**
 * Whether text may be UTF-8: $SYSTEMD_UTF8, else the character set of the locale. No locale at all counts as UTF-8,
 * the C locale only where it was asked for.
 */
export function isUtf8(env: Environment): boolean {
  const wish = env["SYSTEMD_UTF8"] === undefined ? undefined : parseBoolean(env["SYSTEMD_UTF8"]);
  if (wish !== undefined) return wish;
  const locale = env["LC_ALL"] || env["LC_CTYPE"] || env["LANG"] || "";
  if (locale === "C" || locale === "POSIX") return false;
  const charset = /\.([^@]*)/.exec(locale)?.[1];
  return charset === undefined || /^utf-?8$/i.test(charset);
}

/** No colours at all. */
export const NO_PAINT: Paint = {
  normal: "",
  green: "",
  red: "",
  yellow: "",
  bright: "",
  brightBlue: "",
  grey: "",
  italic: "",
  underline: "",
};

const GREY_16 = own("\u001b[0;90m");
const GREY_256 = own("\u001b[0;38:5:245m");

function paintFor(colors: ColorMode, env: Environment): Paint {
  if (colors === "off") return NO_PAINT;
  return {
    normal: own("\u001b[0m"),
    green: own("\u001b[0;32m"),
    red: own("\u001b[0;1;31m"),
    yellow: own("\u001b[0;1;33m"),
    bright: own("\u001b[0;1;39m"),
    brightBlue: own("\u001b[0;1;34m"),
    // A 256-colour terminal gets both: one which does not know the second sequence keeps the first.
    grey: colors === "16" ? GREY_16 : colors === "24bit" ? GREY_256 : GREY_16 + GREY_256,
    italic: own("\u001b[3m"),
    underline: env["TERM"] === "linux" ? "" : own("\u001b[4m"),
  };
}

function columnsFor(env: Environment, ttyColumns: number | undefined): number {
  const wish = Number(env["COLUMNS"] ?? "");
  if (Number.isInteger(wish) && wish > 0 && wish <= 0xffff) return wish;
  return ttyColumns !== undefined && ttyColumns > 0 ? ttyColumns : 80;
}

/** Looks at the environment and at which of stdout and stderr are terminals. `ttyColumns` is asked only when needed. */
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
