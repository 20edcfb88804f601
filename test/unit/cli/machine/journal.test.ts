import { expect, test } from "bun:test";
import { unitJournal } from "../../../../src/cli/machine/journal.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";

/** Returns the command lines of journalctl for the status of a machine with these properties asked for. */
async function commandLines(properties: string[]): Promise<string[][]> {
  const seen: string[][] = [];
  const run = async ({ argv }: { argv: string[] }) => {
    seen.push(argv);
    return argv.includes("--reverse") ? '{"__CURSOR":"c","__MONOTONIC_TIMESTAMP":"5"}\n' : "line\n";
  };
  const session = {
    settings: { ...defaultSettings(), properties },
    terminal: { isTty: false, colors: "off", columns: 80 },
    output: { hasPager: false },
    ports: { run },
  };
  await unitJournal(session as never, { unit: "x.service", sinceMonotonicUsec: 1n });
  return seen;
}

test("status with -p prints the entries of the journal whole, as with --all", async () => {
  expect((await commandLines(["Id"])).map((argv) => argv.includes("--all"))).toEqual([true, true]);
  expect((await commandLines([])).map((argv) => argv.includes("--all"))).toEqual([false, false]);
});
