import { describe, expect, test } from "bun:test";
import { asWritten } from "../../../../src/cli/format/own-sequence.ts";
import { colorMode, type Environment, isUtf8, readTerminal } from "../../../../src/cli/format/terminal.ts";

describe("colours (C25)", () => {
  const cases: [env: Environment, tty: boolean, mode: string][] = [
    [{ TERM: "xterm" }, true, "256"],
    [{ TERM: "xterm" }, false, "off"],
    [{ TERM: "dumb" }, true, "off"],
    [{}, true, "off"],
    [{ TERM: "xterm", NO_COLOR: "" }, true, "off"],
    [{ TERM: "xterm", COLORTERM: "truecolor" }, true, "24bit"],
    [{ SYSTEMD_COLORS: "1" }, false, "256"],
    [{ SYSTEMD_COLORS: "yes", COLORTERM: "24bit" }, false, "24bit"],
    [{ SYSTEMD_COLORS: "16", NO_COLOR: "1" }, false, "16"],
    [{ SYSTEMD_COLORS: "24bit" }, false, "24bit"],
    [{ SYSTEMD_COLORS: "no", TERM: "xterm" }, true, "off"],
    [{ SYSTEMD_COLORS: "auto-16", TERM: "xterm", COLORTERM: "truecolor" }, true, "16"],
    [{ SYSTEMD_COLORS: "auto-24bit", TERM: "xterm" }, true, "24bit"],
    [{ SYSTEMD_COLORS: "auto-256", TERM: "xterm" }, false, "off"],
    [{ SYSTEMD_COLORS: "auto-256", TERM: "xterm", NO_COLOR: "1" }, true, "off"],
    [{ SYSTEMD_COLORS: "toString", TERM: "xterm" }, true, "256"],
    [{ SYSTEMD_COLORS: "sometimes", TERM: "xterm" }, true, "256"],
  ];
  for (const [env, tty, mode] of cases) {
    test(`${JSON.stringify(env)} ${tty ? "on a terminal" : ""}: ${mode}`, () =>
      expect(colorMode(env, tty)).toBe(mode as never));
  }
});

describe("UTF-8 (C19)", () => {
  const cases: [env: Environment, utf8: boolean][] = [
    [{}, true],
    [{ LANG: "C" }, false],
    [{ LANG: "" }, false],
    [{ LC_ALL: "POSIX", LANG: "en_US.UTF-8" }, false],
    [{ LC_ALL: "", LANG: "C.UTF-8" }, true],
    [{ LC_CTYPE: "de_DE.utf8@euro" }, true],
    [{ LANG: "de_DE.ISO-8859-1" }, false],
    [{ LANG: "C", SYSTEMD_UTF8: "1" }, true],
  ];
  for (const [env, utf8] of cases) test(`${JSON.stringify(env)}: ${utf8}`, () => expect(isUtf8(env)).toBe(utf8));
});

test("yellow is that of the 256 colours where there are so many, after that of 16 where the terminal may have no more", () => {
  const yellow = (mode: string) => {
    const ttys = { stdout: true, stderr: true, columns: () => 80 };
    return asWritten(readTerminal({ SYSTEMD_COLORS: mode }, ttys).paint.yellow);
  };
  expect(yellow("16")).toBe("\u001b[0;1;33m");
  expect(yellow("256")).toBe("\u001b[0;1;33m\u001b[0;1;38:5:185m");
  expect(yellow("24bit")).toBe("\u001b[0;1;38:5:185m");
});

test("the width is $COLUMNS, else the terminal's, else 80", () => {
  const columns = (env: Environment, tty: boolean) =>
    readTerminal(env, { stdout: tty, stderr: true, columns: () => 132 }).columns;
  expect(columns({ COLUMNS: "50" }, true)).toBe(50);
  expect(columns({ COLUMNS: "0" }, true)).toBe(132);
  expect(columns({}, false)).toBe(80);
});
