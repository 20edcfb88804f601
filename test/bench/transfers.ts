// npm run bench -- --only=transfers [--bed=TREE] [--rounds=N]: images imported and pulled, by the distribution's programs
// and ours in one bed, with the same files, round by round (I136). What is measured stands in transfers.py.
import { join } from "node:path";
import { TREES, type Tree } from "../lib/host-suite.ts";
import { type Figures, medians, option, show, verdict, whereAndWhen, withExecutable, writePart } from "./figures.ts";

const TITLES: Readonly<Record<string, string>> = {
  "import-gz": "`import-tar`, gzip",
  "import-xz": "`import-tar`, xz of several blocks",
  "import-bz2": "`import-tar`, bzip2",
  "import-tar": "`import-tar`, not compressed",
  "pull-gz": "`pull-tar` over http, gzip, checksum",
  "pull-xz": "`pull-tar` over http, xz, checksum",
  "import-raw-gz": "`import-raw`, gzip, half of it holes",
  "pull-raw": "`pull-raw` over http, checksum",
};
const PLACES = { tmpfs: "to a tmpfs", disk: "to the disk" } as const;
const PREPARE_SECONDS = 300;
const MEASURE_SECONDS = 900;

function table(version: number, stock: Figures, ours: Figures): string {
  const row = (figure: string, title: string, unit: string) => {
    const [theirs = Number.NaN, own = Number.NaN] = [stock[figure], ours[figure]];
    return `| ${title} | ${show(theirs)} ${unit} | ${show(own)} ${unit} | ${verdict(theirs, own, "less")} |`;
  };
  const lines = Object.entries(PLACES).flatMap(([place, where]) =>
    Object.entries(TITLES).map(([name, title]) => row(`${place}-${name}`, `${title}, ${where}`, "s")),
  );
  lines.push(row("resident", "the largest worker's resident memory", "MiB"));
  return [`| what | systemd ${version} | machined | machined is |`, "|---|---|---|---|", ...lines].join("\n");
}

function part(content: string, rounds: number): string {
  return `Written by \`npm run bench -- --only=transfers\`: \`machinectl\` of the distribution with its daemon, and ours with ours,
in one bed, with the same files, ${rounds} ${rounds === 1 ? "round" : "rounds"}; each figure is the median. ${whereAndWhen()}. The tar archive is the bed's
\`/usr\` (about 320 MB, 12 000 files), the disk image has 512 MiB. Files are read from memory. "The disk" is btrfs in a
file on ext4, without quota.

${content}
`;
}

async function measure(tree: Tree, rounds: number): Promise<string> {
  process.env["BED_TREE"] = tree;
  const { Bed } = await import("../lib/bed.ts");
  const source = await Bun.file(join(import.meta.dir, "transfers.py")).text();
  const bed = await Bed.boot("bench");
  const run = (args: string, seconds: number) => bed.run(`python3 - ${args} <<'SOURCE'\n${source}\nSOURCE\n`, seconds);
  const take = async (who: string): Promise<Figures> => {
    console.log(`== ${tree}: ${who}`);
    return JSON.parse((await run("measure", MEASURE_SECONDS)).split("\n").at(-1) ?? "") as Figures; // printed by transfers.py
  };
  const stock: Figures[] = [];
  const ours: Figures[] = [];
  try {
    console.log(`== ${tree}: the files`);
    await run("prepare", PREPARE_SECONDS);
    for (let round = 1; round <= rounds; round++) {
      stock.push(await take(`systemd's, round ${round} of ${rounds}`));
      await bed.install();
      ours.push(await take(`ours, round ${round} of ${rounds}`));
      await bed.uninstall();
    }
  } finally {
    await bed.stop();
  }
  return table(TREES[tree], medians(stock), medians(ours));
}

/** Measures and writes the section of docs/benchmarks.md; gives the exit code. */
export async function benchTransfers(args: readonly string[]): Promise<number> {
  const tree = option(args, "bed", "bookworm");
  const rounds = Number(option(args, "rounds", "5"));
  if (!(tree in TREES) || !(rounds >= 1)) {
    console.error(`usage: npm run bench -- --only=transfers [--bed=${Object.keys(TREES).join("|")}] [--rounds=N]`);
    return 2;
  }
  return withExecutable(tree as Tree, async () => {
    writePart("Images", part(await measure(tree as Tree, rounds), rounds));
  });
}
