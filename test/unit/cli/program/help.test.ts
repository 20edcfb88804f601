// `--help` of both clients on terminals of several widths.
import { describe, expect, test } from "bun:test";
import type { ClientProgram } from "../../../../src/cli/command-line/verb-row.ts";
import { runClient } from "../../../../src/cli/program/client-program.ts";
import { IMPORTCTL } from "../../../../src/cli/program/importctl.ts";
import { MACHINECTL } from "../../../../src/cli/program/machinectl.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

const PLAIN = { TERM: "xterm", NO_COLOR: "1", SYSTEMD_PAGER: "" };

async function lines(program: ClientProgram, args: readonly string[], columns: number): Promise<string[]> {
  const process = new FakeProcess(WORLDS["empty"] as World, { columns, env: PLAIN });
  expect(await runClient(program, args, process)).toBe(0);
  expect([process.targets, process.stderr]).toEqual([[], ""]);
  return process.stdout.split("\n");
}

/** The words of a page in order, without line ends and indentation. */
function words(text: readonly string[]): string {
  return text.join(" ").replace(/\s+/g, " ");
}

for (const program of [MACHINECTL, IMPORTCTL]) {
  const shown = program.verbs.filter(({ meta }) => meta.name !== "help").map(({ meta }) => meta.name);
  for (const columns of [50, 64, 80]) {
    describe(`${program.name} --help in ${columns} columns`, () => {
      test("is not wider than the terminal", async () => {
        const text = await lines(program, ["--help"], columns);
        expect(text.filter((line) => Bun.stringWidth(line) > columns)).toEqual([]);
      });

      test.each(shown)(
        "of %s is not wider than the terminal, has the words that it has in 80 columns, and equals 'help VERB'",
        async (verb) => {
          const text = await lines(program, [verb, "--help"], columns);
          expect(text[0]).toStartWith(`> ${program.name} ${verb} [OPTION…]`);
          expect(text.filter((line) => Bun.stringWidth(line) > columns)).toEqual([]);
          expect(words(text)).toBe(words(await lines(program, [verb, "--help"], 80)));
          expect(await lines(program, ["help", verb], columns)).toEqual(text);
        },
      );
    });
  }
}

test("where two columns do not fit, the explanation is on the line below its term", async () => {
  const text = await lines(MACHINECTL, ["kill", "--help"], 50);
  const at = text.indexOf("     --kill-whom=WHOM");
  expect(text.slice(at, at + 2)).toEqual([
    "     --kill-whom=WHOM",
    "        Who gets the signal: leader, supervisor or",
  ]);
});

test("the page of a verb names its arguments and all its options, and no other options", async () => {
  for (const { name, verbs, options } of [MACHINECTL, IMPORTCTL]) {
    const program = name === "machinectl" ? MACHINECTL : IMPORTCTL;
    const table = await options();
    for (const verb of verbs.filter(({ meta }) => meta.hidden !== true && meta.name !== "help")) {
      const text = (await lines(program, [verb.meta.name, "--help"], 80)).join("\n");
      const named = [...text.matchAll(/^ {2}(?: {3}|-\w )--([a-z-]+)/gm)].map(([, key]) => key as string);
      const long = (verb.options ?? []).filter((key) => key.length > 1 && table[key] !== undefined);
      expect([verb.meta.name, named.sort()]).toEqual([verb.meta.name, long.sort()]);
      for (const word of Object.keys(verb.args)) expect(text).toContain(`\n  ${word.toUpperCase()}`);
    }
  }
});

test.each([
  ["doctor", "json", "Print the findings as JSON: pretty, short or off"],
  ["doctor", "quiet", "Print only what is wrong"],
  ["events", "lines", "Begin with the last events of the log, this many of them"],
  ["logs", "lines", "How many journal entries to print -o --output"],
  ["status", "lines", "How many journal entries to print -o --output"],
  ["list", "json", "Print the output as JSON: pretty, short or off"],
  ["clean", "all", "Remove all images, not only the hidden ones"],
  ["exec", "timeout", "End the command after this time; the exit status is 124"],
  ["wait", "timeout", "Give up after this time; the exit status is 124"],
  ["wait", "any", "Wait until it is true for one of the machines, not for all"],
  ["run", "network", "The network of the machine: host, none, veth, or bridge:NAME, zone:NAME,"],
])("the page of %s says what --%s means for that command", async (verb, option, meaning) => {
  const text = words(await lines(MACHINECTL, [verb, "--help"], 80));
  expect(text.replace(/(--[a-z]+)=[A-Z]+/g, "$1")).toContain(` --${option} ${meaning}`);
});
