import { expect, test } from "bun:test";
import type { OutputMode } from "../../../../src/base/vocabulary/output-mode.ts";
import { asWritten } from "../../../../src/cli/format/own-sequence.ts";
import { unitJournal, unitJournalEntries } from "../../../../src/cli/machine/journal.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";

/** Returns the output of journalctl for a command line. */
type Journalctl = (argv: readonly string[]) => string;

const SINCE = 16n;
const entry = (usec: number) =>
  JSON.stringify({ __CURSOR: `m=${usec.toString(16)}`, __MONOTONIC_TIMESTAMP: `${usec}` });
const ONE_ENTRY: Journalctl = (argv) => (argv.includes("--output=json") ? `${entry(17)}\n` : "line\n-- cursor: m=11\n");

/** Returns the journal part of the status of a machine that was registered at SINCE, and the runs of journalctl. */
async function journal(journalctl: Journalctl, properties: string[] = [], output: OutputMode = "short", lines = 10) {
  const runs: string[][] = [];
  const run = async ({ argv }: { argv: string[] }) => {
    runs.push(argv);
    return journalctl(argv);
  };
  const session = {
    settings: { ...defaultSettings(), properties, output, lines },
    terminal: { isTty: false, colors: "off", columns: 80 },
    output: { hasPager: false },
    ports: { run },
  };
  const text = await unitJournal(session as never, { unit: "x.service", sinceMonotonicUsec: SINCE });
  return { text, runs };
}

test("status with -p prints the entries of the journal whole, as with --all", async () => {
  for (const output of ["short", "cat"] as const) {
    const isAll = async (properties: string[]) =>
      (await journal(ONE_ENTRY, properties, output)).runs.map((argv) => argv.includes("--all"));
    expect(new Set(await isAll(["Id"]))).toEqual(new Set([true]));
    expect(new Set(await isAll([]))).toEqual(new Set([false]));
  }
});

const INDENT = " ".repeat(35);
/** Entries as journalctl prints them, the newest first: of several lines, with other separators, in Japanese. */
const PRINTED = [
  `Nov 29 10:36:38 bed systemd[1]: two\n${INDENT}lines\n`,
  "Nov 29 10:36:38 bed kernel: a\rb\u2028c\vd\n",
  ` 1月 29 10:36:38 bed x[12]: -- cursor: m=1\n${INDENT}-- cursor: m=1\n`,
  "Nov 29 10:36:37 bed x[12]: \n",
];

test("the entries of one run are printed oldest first, each with its lines in order", async () => {
  const { text, runs } = await journal(() => `${PRINTED.join("")}-- cursor: s=1;i=2;b=3;m=10;t=0;x=0\n`);
  expect([text, runs.length]).toEqual([PRINTED.toReversed().join(""), 1]);
});

test("with -o json-seq, each entry begins with the record separator, which is printed as it is", async () => {
  const { text } = await journal(
    (argv) => (argv.includes("--output=json") ? entry(17) : "\u001e{}\n\u001e{}\n"),
    [],
    "json-seq",
  );
  expect(asWritten(text)).toBe("\u001e{}\n\u001e{}\n");
});

test("journalctl is asked for as many entries as it can count where more are wanted", async () => {
  const { runs } = await journal(ONE_ENTRY, [], "short", 0xffff_ffff);
  expect(runs.map((argv) => argv.filter((word) => word.startsWith("--lines=")))).toEqual([["--lines=2147483647"]]);
});

test("without entries there is one run and no text", async () => {
  const { text, runs } = await journal(() => "");
  expect([text, runs.length]).toEqual(["", 1]);
});

const WITH_OLD = `${PRINTED.join("")}-- cursor: m=5\n`;

test("entries from before the start are left out", async () => {
  const times = [19, 17, 16, 5].map(entry).join("\n");
  const { text, runs } = await journal((argv) => (argv.includes("--output=json") ? times : WITH_OLD));
  expect([text, runs.length]).toEqual([PRINTED.slice(0, 3).toReversed().join(""), 2]);
});

test("where an entry was added between two runs, a third prints the entries from the oldest that is wanted", async () => {
  const times = [20, 19, 17, 16].map(entry).join("\n");
  const { text, runs } = await journal((argv) => {
    if (argv.includes("--output=json")) return times;
    return argv.includes("--reverse") ? WITH_OLD : `${argv.find((word) => word.startsWith("--cursor="))}\n`;
  });
  expect([text, runs.length]).toEqual(["--cursor=m=10\n", 3]);
});

test("where journalctl prints no cursor, or one of another form, the times are read from its JSON", async () => {
  for (const end of ["", "-- cursor: 17\n"]) {
    const printed = (argv: readonly string[]) => (argv.includes("--reverse") ? `line\n${end}` : "from the cursor\n");
    const { text } = await journal((argv) => (argv.includes("--output=json") ? `${entry(17)}\n` : printed(argv)));
    expect(text).toBe("from the cursor\n");
  }
});

test("entries that journalctl has written before it was killed are printed; the incomplete one is left out", async () => {
  const cut = `${entry(18)}\n${entry(17)}\n${entry(16).slice(0, 20)}`;
  const { text } = await journal((argv) => (argv.includes("--output=json") ? cut : "two entries\n"), [], "cat");
  expect(text).toBe("two entries\n");
  const session = {
    settings: defaultSettings(),
    terminal: { isTty: false, colors: "off", columns: 80 },
    output: { hasPager: false },
    ports: { run: async () => cut },
  };
  const entries = await unitJournalEntries(session as never, { unit: "x.service", sinceMonotonicUsec: SINCE });
  expect(entries).toEqual([17, 18].map((usec) => JSON.parse(entry(usec))));
});
