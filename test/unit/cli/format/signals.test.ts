import { expect, test } from "bun:test";
import { allSignals, parseSignal, signalName } from "../../../../src/cli/format/signals.ts";

test("signals are parsed from names, names with SIG before them, and numbers", () => {
  expect(["TERM", "SIGTERM", "15", "HUP", "SIGSYS", "SIG33"].map(parseSignal)).toEqual([15, 15, 15, 1, 31, 33]);
});

test("numbers of signals may have a base, a sign and blanks before them, as for strtoul(3)", () => {
  expect([" 9", "+9", "0x9", "011", "SIG017", "RTMIN+0x1", "SIGRTMAX-0"].map(parseSignal)).toEqual([
    9, 9, 9, 9, 15, 35, 64,
  ]);
  expect(["9 ", "-9", "08", "RTMIN+ 1"].map(parseSignal)).toEqual([undefined, undefined, undefined, undefined]);
});

test("real-time signals are counted from RTMIN and from RTMAX", () => {
  expect(["RTMIN", "SIGRTMIN+4", "RTMIN+30", "RTMAX", "RTMAX-30", "64"].map(parseSignal)).toEqual([
    34, 38, 64, 64, 34, 64,
  ]);
});

test("C83 text that names no signal is refused", () => {
  const none = ["term", "sigterm", "0", "65", "", "SIG", "RTMIN-1", "RTMAX+1", "RTMIN+31", "-1", "1x", "SIG0"];
  expect(none.filter((text) => parseSignal(text) !== undefined)).toEqual([]);
});

test("every signal is parsed from its own name", () => {
  expect(allSignals().map((signal) => parseSignal(signalName(signal)))).toEqual(allSignals());
});
