// npm run bench -- --only=transfers [--bed=TREE] [--rounds=N]: measures imports and downloads of images by the
// distribution's programs and this project's, alternately in one bed with the same files (I136). transfers.py does the
// measurement.
import { join } from "node:path";
import { TREES, type Tree } from "../lib/host-suite.ts";
import { type Figures, median, option, show, verdict, whereAndWhen, withExecutable, writePart } from "./figures.ts";

const TITLES: Readonly<Record<string, string>> = {
  "import-gz": "`import-tar`, gzip",
  "import-xz": "`import-tar`, xz of several blocks",
  "import-bz2": "`import-tar`, bzip2",
  "import-tar": "`import-tar`, not compressed",
  "import-pipe": "`import-tar`, not compressed, from a pipe",
  "pull-gz": "`pull-tar` over http, gzip, checksum",
  "pull-xz": "`pull-tar` over http, xz, checksum",
  "import-raw-gz": "`import-raw`, gzip, half of it holes",
  "pull-raw": "`pull-raw` over http, checksum",
  "export-gz": "`export-tar` of that tree, gzip",
  clone: "`clone` of it",
  remove: "`remove` of it",
  "copy-tree": "`copy-to` of the bed's `/usr/share`, to there",
  "copy-sparse": "`copy-to` of a file of 4 GiB with 40 MiB of data, to there",
};
const PLACES = { tmpfs: "to a tmpfs", disk: "to the disk" } as const;
/** The original fills the holes of the file, for which a tmpfs has no room. */
const ON_DISK_ONLY: readonly string[] = ["copy-sparse"];
const PREPARE_SECONDS = 300;
const MEASURE_SECONDS = 120;

function titlesOf(place: string): [string, string][] {
  return Object.entries(TITLES).filter(([name]) => place === "disk" || !ON_DISK_ONLY.includes(name));
}

function table(version: number, { stock, ours }: Sides): string {
  const row = (figure: string, title: string, unit: string) => {
    const [theirs = Number.NaN, own = Number.NaN] = [stock[figure], ours[figure]];
    return `| ${title} | ${show(theirs)} ${unit} | ${show(own)} ${unit} | ${verdict(theirs, own, "less")} |`;
  };
  const lines = Object.entries(PLACES).flatMap(([place, where]) =>
    titlesOf(place).map(([name, title]) => row(`${place}-${name}`, `${title}, ${where}`, "s")),
  );
  lines.push(row("resident", "the largest worker's resident memory", "MiB"));
  return [`| what | systemd ${version} | machined | machined is |`, "|---|---|---|---|", ...lines].join("\n");
}

function part(content: string, rounds: number): string {
  return `Written by \`npm run bench -- --only=transfers\`: \`machinectl\` of the distribution with its daemon, and ours with ours,
in one bed, with the same files, by turns, ${rounds} ${rounds === 1 ? "time" : "times"} each; each figure is the median. ${whereAndWhen()}. The tar archive is the bed's
\`/usr\` (about 320 MB, 12 000 files), the disk image has 512 MiB. Files are read from memory. "The disk" is btrfs in a
file on ext4, without quota.

${content}
`;
}

interface Sides {
  readonly stock: Figures;
  readonly ours: Figures;
}

/**
 * Alternates between the programs for each value, because the machine's speed changes more over minutes than they
 * differ.
 */
async function measure(tree: Tree, rounds: number): Promise<Sides> {
  process.env["BED_TREE"] = tree;
  const { Bed } = await import("../lib/bed.ts");
  const source = await Bun.file(join(import.meta.dir, "transfers.py")).text();
  const bed = await Bed.boot("bench");
  const run = (args: string, seconds: number) => bed.run(`python3 - ${args} <<'SOURCE'\n${source}\nSOURCE\n`, seconds);
  const stock: Record<string, number> = { resident: 0 };
  const ours: Record<string, number> = { resident: 0 };
  const take = async (figures: Record<string, number>, place: string, name: string): Promise<number> => {
    const line = (await run(`measure ${place} ${name}`, MEASURE_SECONDS)).split("\n").at(-1) ?? "";
    const { seconds, resident } = JSON.parse(line) as { seconds: number; resident: number }; // printed by transfers.py
    figures["resident"] = Math.max(figures["resident"] ?? 0, resident);
    return seconds;
  };
  try {
    console.log(`== ${tree}: the files`);
    await run("prepare", PREPARE_SECONDS);
    for (const [place, where] of Object.entries(PLACES)) {
      for (const [name, title] of titlesOf(place)) {
        const [theirs, own]: [number[], number[]] = [[], []];
        for (let round = 0; round < rounds; round++) {
          theirs.push(await take(stock, place, name));
          await bed.install();
          own.push(await take(ours, place, name));
          await bed.uninstall();
        }
        stock[`${place}-${name}`] = median(theirs);
        ours[`${place}-${name}`] = median(own);
        console.log(`${title}, ${where}: ${theirs.map(show).join(" ")} s, ours ${own.map(show).join(" ")} s`);
      }
    }
  } finally {
    await bed.stop();
  }
  return { stock, ours };
}

/** Measures, and writes the section "Images" of docs/benchmarks.md; returns the exit status. */
export async function benchTransfers(args: readonly string[]): Promise<number> {
  const tree = option(args, "bed", "bookworm");
  const rounds = Number(option(args, "rounds", "3"));
  if (!(tree in TREES) || !(rounds >= 1)) {
    console.error(`usage: npm run bench -- --only=transfers [--bed=${Object.keys(TREES).join("|")}] [--rounds=N]`);
    return 2;
  }
  return withExecutable(tree as Tree, async () => {
    writePart("Images", part(table(TREES[tree as Tree], await measure(tree as Tree, rounds)), rounds));
  });
}
