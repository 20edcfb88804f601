// npm run bench -- --only=scale [--bed=TREE] [--machines=N]: measures this project's daemon with very many machines and
// the host's default limits, with which the original cannot hold so many. scale.py does the measurement.
import { join } from "node:path";
import { TREES, type Tree } from "../lib/host-suite.ts";
import { type Figures, option, show, whereAndWhen, withExecutable, writePart } from "./figures.ts";

const MEASURE_SECONDS = 1800;
/** Begins the script in a unit in which it may make control groups. */
const IN_UNIT = "systemd-run --quiet --wait --pipe --property=Delegate=yes --property=TasksMax=infinity";

/** Title and unit of each figure. */
const ROWS: Readonly<Record<string, readonly [title: string, unit: string]>> = {
  create: ["RegisterMachine, one after the other", "/s"],
  "create-cpu": ["processor time of the daemon for each", "ms"],
  list: ["`machinectl list`", "ms"],
  ListMachines: ["ListMachines", "ms"],
  restart: ["restart, until ListMachines answers", "ms"],
  ended: ["all leaders killed, until the last machine is gone", "ms"],
  "memory-before": ["memory of its own before the first machine", "MiB"],
  "memory-all": ["memory of its own with all", "MiB"],
  "memory-restarted": ["the same after a restart", "MiB"],
  "memory-after": ["memory of its own when all are gone", "MiB"],
};

function part(machines: number, tree: Tree, figures: Figures): string {
  const lines = Object.entries(ROWS).map(([name, [title, unit]]) => {
    return `| ${title} | ${show(figures[name] ?? Number.NaN)} ${unit} |`;
  });
  return `Written by \`npm run bench -- --only=scale\`: ${machines} machines at once, each with a process and a control group in one
unit with \`Delegate=\`, as other managers have them, in a bed of systemd ${TREES[tree]} with its default limits. Making so many scopes takes
systemd more than ten minutes. The original is not beside it, because with these limits it loses its service manager at
about 500 machines ([decision 5](decisions/0005-no-addref.md)). ${whereAndWhen()}.

| what | machined |
|---|---|
${lines.join("\n")}
`;
}

/** Measures and writes the section of docs/benchmarks.md; returns the exit code. */
export async function benchScale(args: readonly string[]): Promise<number> {
  const tree = option(args, "bed", "forky");
  const machines = Number(option(args, "machines", "10000"));
  if (!(tree in TREES) || !(machines >= 1)) {
    console.error(`usage: npm run bench -- --only=scale [--bed=${Object.keys(TREES).join("|")}] [--machines=N]`);
    return 2;
  }
  return withExecutable(tree as Tree, async () => {
    process.env["BED_TREE"] = tree;
    const { Bed } = await import("../lib/bed.ts");
    const source = await Bun.file(join(import.meta.dir, "scale.py")).text();
    const bed = await Bed.boot("bench");
    try {
      await bed.install();
      const output = await bed.run(`${IN_UNIT} python3 - ${machines} <<'SOURCE'\n${source}\nSOURCE\n`, MEASURE_SECONDS);
      const figures = JSON.parse(output.split("\n").at(-1) ?? "") as Figures; // printed by scale.py
      writePart("Very many machines", part(machines, tree as Tree, figures));
    } finally {
      await bed.stop();
    }
  });
}
