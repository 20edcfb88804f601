import { describe, expect, test } from "bun:test";
import { type OptionTable, parseOptions } from "../../../../src/cli/command-line/getopt.ts";

interface Bag {
  seen: string[];
}

function note(name: string) {
  return (bag: Bag, value: string) => void bag.seen.push(value === "" ? name : `${name}=${value}`);
}

const OPTIONS: OptionTable<Bag, { stop: () => void }> = {
  help: { type: "boolean", alias: "h", apply: (_bag, _value, { stop }) => stop },
  all: { type: "boolean", alias: "a", apply: note("all") },
  lines: { type: "string", alias: "n", apply: note("lines") },
  "kill-whom": { type: "string", apply: note("kill-whom") },
  signal: { type: "string", alias: "s", apply: note("signal") },
  setenv: { type: "string", alias: "E", apply: note("setenv") },
  stdin: { type: "string", added: true, apply: note("stdin") },
  timeout: { type: "string", added: true, apply: note("timeout") },
  P: { type: "string", apply: note("P") },
};

function parse(...args: string[]) {
  const bag: Bag = { seen: [] };
  const { words, finish } = parseOptions(args, bag, {
    program: "prog",
    options: OPTIONS,
    context: { stop: () => {} },
    wordsUntilRest: (verb) => (verb === "shell" ? 3 : undefined),
  });
  return { words, seen: bag.seen, stopped: finish !== null };
}

describe("options and words", () => {
  test("may be mixed in any order", () => {
    expect(parse("list", "-a", "x", "--lines=3", "y")).toEqual({
      words: ["list", "x", "y"],
      seen: ["all", "lines=3"],
      stopped: false,
    });
  });

  test("are separated by --: what follows it is a word", () => {
    expect(parse("-a", "--", "-a", "--lines").words).toEqual(["-a", "--lines"]);
  });

  test("a single dash is a word", () => expect(parse("-").words).toEqual(["-"]));

  test("after the fixed words of a verb, everything is a word", () => {
    expect(parse("shell", "-a", "m", "/bin/ls", "-n", "--", "--help")).toEqual({
      words: ["shell", "m", "/bin/ls", "-n", "--", "--help"],
      seen: ["all"],
      stopped: false,
    });
    expect(parse("shell", "m", "-a", "--", "/bin/ls", "-a")).toEqual({
      words: ["shell", "m", "/bin/ls", "-a"],
      seen: ["all"],
      stopped: false,
    });
  });
});

describe("values", () => {
  test("follow a short option with or without a blank", () => {
    expect(parse("-n5", "-n", "6", "-an7").seen).toEqual(["lines=5", "lines=6", "all", "lines=7"]);
  });

  test("may look like options", () => expect(parse("-n", "-1").seen).toEqual(["lines=-1"]));

  test("may be empty after an equals sign", () => expect(parse("--lines=").seen).toEqual(["lines"]));

  test("of an option that is repeated are all kept", () =>
    expect(parse("-sA", "-sB").seen).toEqual(["signal=A", "signal=B"]));
});

describe("long options", () => {
  test("may be shortened to a prefix that only one option has", () =>
    expect(parse("--k=x", "--al").seen).toEqual(["kill-whom=x", "all"]));

  test("are refused as ambiguous when several have the prefix; the error lists these in table order", () => {
    expect(() => parse("--s")).toThrow("prog: option '--s' is ambiguous; possibilities: --signal, --setenv");
  });

  test("that are shortened mean an option of systemd rather than one that was added", () => {
    expect(parse("--si=9").seen).toEqual(["signal=9"]);
    expect(() => parse("--s=x")).toThrow("possibilities: --signal, --setenv");
    expect(parse("--st=no", "--ti=1").seen).toEqual(["stdin=no", "timeout=1"]);
  });

  test("do not exist for options of one letter", () => {
    expect(() => parse("--P=x")).toThrow("prog: unrecognized option '--P'");
    expect(parse("-Px").seen).toEqual(["P=x"]);
  });
});

describe("mistakes", () => {
  const cases: [args: string[], text: string][] = [
    [["--bogus=1"], "prog: unrecognized option '--bogus'"],
    [["-aZ"], "prog: unrecognized option '-Z'"],
    [["x", "-n"], "prog: option '-n' requires an argument"],
    [["--signal"], "prog: option '--signal' requires an argument"],
    [["--sig"], "prog: option '--sig' requires an argument"],
    [["--al=1"], "prog: option '--al' doesn't allow an argument"],
    [["--="], "prog: unrecognized option '--'"],
    [["--all=1"], "prog: option '--all' doesn't allow an argument"],
  ];
  for (const [args, text] of cases) test(args.join(" "), () => expect(() => parse(...args)).toThrow(text));
});

test("an option that acts at once, such as --help, ends parsing: mistakes after it are not reported", () => {
  expect(parse("-ah", "--bogus")).toEqual({ words: [], seen: ["all"], stopped: true });
});
