// npm run bench -- --only=commands [--bed=TREE] [--rounds=N]: measures short commands of the distribution's programs
// and this project's alternately in one bed, and the minimum that Bun itself takes. commands.py does the measurement.
import { join } from "node:path";
import { TREES, type Tree } from "../lib/host-suite.ts";
import { TOP } from "../lib/run-tests.ts";
import { median, option, show, verdict, whereAndWhen, withExecutable, writePart } from "./figures.ts";

/** Milliseconds, milliseconds, and a count. */
interface Cost {
  readonly wall: number;
  readonly cpu: number;
  readonly faults: number;
}

type Costs = Readonly<Record<string, Cost>>;

const TITLES: Readonly<Record<string, string>> = {
  list: "`machinectl list`, 1 machine",
  show: "`machinectl show` of it",
  status: "`machinectl status` of it",
  "image-status": "`machinectl image-status`",
  kill: "`machinectl kill`",
  terminate: "`machinectl terminate`",
  shell: "`machinectl shell NAME /bin/true`",
  exec: "`machinectl exec NAME true`; the original: `systemd-run -M NAME --pipe --wait true`",
  "copy-1k": "`machinectl copy-to` of 1 KiB",
  "copy-100m": "`machinectl copy-to` of 100 MiB",
};
const MEASURE_SECONDS = 120;
const SHARED = "/srv/machined";

/** The floor program, built beside the executable that the bed has at SHARED. */
function buildFloor(): void {
  const outfile = join(process.env["MACHINED_DIST"] ?? "", "floor");
  const flags = ["--compile", "--minify", "--bytecode", "--format=esm"];
  const words = [process.execPath, "build", ...flags, "test/bench/floor.ts", "--outfile", outfile];
  const run = Bun.spawnSync(words, { cwd: TOP });
  if (run.exitCode !== 0) throw new Error(`The floor program does not compile:\n${run.stderr}`);
}

function medianCost(costs: readonly Cost[]): Cost {
  const of = (key: keyof Cost) => median(costs.map((cost) => cost[key]));
  return { wall: of("wall"), cpu: of("cpu"), faults: of("faults") };
}

function mediansOf(rounds: readonly Costs[]): Costs {
  const names = Object.keys(rounds[0] ?? {});
  const costs = (name: string) => rounds.flatMap((round) => round[name] ?? []);
  return Object.fromEntries(names.map((name) => [name, medianCost(costs(name))]));
}

function cell({ wall, cpu, faults }: Cost): string {
  return `${show(wall)} ms, ${show(cpu)} ms, ${faults.toFixed(0)}`;
}

function table(version: number, stock: Costs, ours: Costs): string {
  const floor = ours["floor"] as Cost;
  const lines = Object.entries(TITLES).map(([name, title]) => {
    const [theirs, own] = [stock[name] as Cost, ours[name] as Cost];
    const overFloor = `${(own.cpu / floor.cpu).toFixed(1)} ×, ${(own.faults / floor.faults).toFixed(1)} ×`;
    return `| ${title} | ${cell(theirs)} | ${cell(own)} | ${verdict(theirs.wall, own.wall, "less")} | ${overFloor} |`;
  });
  return [
    `| what | systemd ${version} | machined | machined takes | over the floor |`,
    "|---|---|---|---|---|",
    ...lines,
    `| the floor: an empty program that connects to a socket | | ${cell(floor)} | | |`,
  ].join("\n");
}

function part(content: string, rounds: number): string {
  return `Written by \`npm run bench -- --only=commands\`: one command each, by the distribution's machinectl with its daemon and ours with
ours, in one bed, by turns, ${rounds} rounds of 5 runs; each figure is the median. ${whereAndWhen()}. A cell has the time until the command is
over, the processor time that it took with its children, and its page faults. A person feels the first; the second is the same on
a busy host, and the third on any. What is over the floor (processor time, page faults) is our code; the floor itself is the engine's.

${content}
`;
}

/** Measures and writes the section of docs/benchmarks.md; returns the exit code. */
export async function benchCommands(args: readonly string[]): Promise<number> {
  const tree = option(args, "bed", "bookworm");
  const rounds = Number(option(args, "rounds", "5"));
  if (!(tree in TREES) || !(rounds >= 1)) {
    console.error(`usage: npm run bench -- --only=commands [--bed=${Object.keys(TREES).join("|")}] [--rounds=N]`);
    return 2;
  }
  return withExecutable(tree as Tree, async () => {
    buildFloor();
    process.env["BED_TREE"] = tree;
    const { Bed } = await import("../lib/bed.ts");
    const source = await Bun.file(join(import.meta.dir, "commands.py")).text();
    const bed = await Bed.boot("bench");
    const take = async (floor = ""): Promise<Costs> => {
      const output = await bed.run(`python3 - ${floor} <<'SOURCE'\n${source}\nSOURCE\n`, MEASURE_SECONDS);
      return JSON.parse(output.split("\n").at(-1) ?? "") as Costs; // printed by commands.py
    };
    const [stock, ours]: [Costs[], Costs[]] = [[], []];
    try {
      for (let round = 0; round < rounds; round++) {
        console.log(`== ${tree}: round ${round + 1} of ${rounds}`);
        stock.push(await take());
        await bed.install();
        ours.push(await take(`${SHARED}/floor`));
        await bed.uninstall();
      }
    } finally {
      await bed.stop();
    }
    writePart("Short commands", part(table(TREES[tree as Tree], mediansOf(stock), mediansOf(ours)), rounds));
  });
}
