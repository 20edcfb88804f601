// npm run bench [-- --bed=TREE] [--machines=N] [--rounds=N]: measures the distribution's programs and this project's
// alternately in one bed, and writes medians and ratios to docs/benchmarks.md. Values of different runs cannot be
// compared. With --only=transfers it measures transfers of images instead, with --only=commands short commands, with
// --only=scale very many machines; see transfers.ts, commands.ts and scale.ts.
import { join } from "node:path";
import { TREES, type Tree } from "../lib/host-suite.ts";
import { benchCommands } from "./commands.ts";
import { type Figures, medians, option, show, verdict, whereAndWhen, withExecutable, writePart } from "./figures.ts";
import { benchScale } from "./scale.ts";
import { benchTransfers } from "./transfers.ts";

const MEASURE_TIMEOUT_SECONDS = 600;

interface Row {
  readonly figure: string;
  readonly title: string;
  readonly unit: string;
  readonly better: "less" | "more";
}

function rows(machines: number): readonly Row[] {
  const list = (count: number): Row => ({
    figure: `list-${count}`,
    title: `\`machinectl list\`, ${count} ${count === 1 ? "machine" : "machines"}`,
    unit: "ms",
    better: "less",
  });
  return [
    { figure: "version", title: "`machinectl --version`", unit: "ms", better: "less" },
    { figure: "activation", title: "start by the first call, until ListMachines answers", unit: "ms", better: "less" },
    ...[...new Set([1, Math.min(100, machines), machines])].map(list),
    {
      figure: "ListMachines",
      title: `ListMachines, ${machines} machines, until a client of Python has objects of them`,
      unit: "ms",
      better: "less",
    },
    { figure: "ListMachines-reply", title: "the same without the client's objects", unit: "ms", better: "less" },
    { figure: "GetMachine", title: "GetMachine", unit: "ms", better: "less" },
    { figure: "GetMachineByPID", title: "GetMachineByPID", unit: "ms", better: "less" },
    { figure: "GetAll", title: "all properties of a machine", unit: "ms", better: "less" },
    { figure: "Varlink-List", title: "List of a machine over Varlink", unit: "ms", better: "less" },
    { figure: "under-load", title: "GetMachine while other clients list and read, 99 %", unit: "ms", better: "less" },
    { figure: "user", title: "a user record, asked for over Varlink", unit: "ms", better: "less" },
    { figure: "ListTransfers", title: "ListTransfers of systemd-importd", unit: "ms", better: "less" },
    { figure: "images", title: "`machinectl list-images`, 1000 trees and disk images", unit: "ms", better: "less" },
    { figure: "subvolumes", title: "`machinectl list-images`, 1000 subvolumes", unit: "ms", better: "less" },
    { figure: "ListImages", title: "ListImages, 1000 trees and disk images", unit: "ms", better: "less" },
    { figure: "image-status", title: "`machinectl image-status`, one of them", unit: "ms", better: "less" },
    { figure: "throughput", title: "GetMachine, 4 clients", unit: "calls/s", better: "more" },
    { figure: "GetAll-4", title: "all properties of a machine, 4 clients", unit: "calls/s", better: "more" },
    { figure: "Varlink-List-4", title: "List of a machine over Varlink, 4 clients", unit: "calls/s", better: "more" },
    { figure: "create", title: "CreateMachine, one after the other", unit: "/s", better: "more" },
    { figure: "name", title: "a machine's address through the NSS module", unit: "ms", better: "less" },
    {
      figure: "restart",
      title: `restart with ${machines} machines, until ListMachines answers`,
      unit: "ms",
      better: "less",
    },
    {
      figure: "killed",
      title: `${machines} leaders killed, until the last machine is gone`,
      unit: "ms",
      better: "less",
    },
    { figure: "anonymous-0", title: "memory of its own, no machine", unit: "MiB", better: "less" },
    { figure: "anonymous-all", title: `memory of its own, ${machines} machines`, unit: "MiB", better: "less" },
    { figure: "resident-0", title: "resident memory with shared pages, no machine", unit: "MiB", better: "less" },
    {
      figure: "resident-all",
      title: `resident memory with shared pages, ${machines} machines`,
      unit: "MiB",
      better: "less",
    },
  ];
}

function table(machines: number, version: number, stock: Figures, ours: Figures): string {
  const lines = rows(machines).map(({ figure, title, unit, better }) => {
    const [theirs, own = Number.NaN] = [stock[figure], ours[figure]];
    if (theirs === undefined) return `| ${title} | does not have it | ${show(own)} ${unit} | |`;
    return `| ${title} | ${show(theirs)} ${unit} | ${show(own)} ${unit} | ${verdict(theirs, own, better)} |`;
  });
  return [`| what | systemd ${version} | machined | machined is |`, "|---|---|---|---|", ...lines].join("\n");
}

function page(tables: readonly string[], rounds: number): string {
  return `# Benchmarks

Written by \`npm run bench\`: the distribution's programs and ours in the same booted bed, one after the other, ${rounds}
${rounds === 1 ? "round" : "rounds"}; each figure is the median. ${whereAndWhen()}.

The bus has a wider limit of match rules for both: with the default of 512, the original loses its service manager at
about 500 machines ([decision 5](decisions/0005-no-addref.md)). "Memory of its own" are anonymous pages; the rest of the
resident memory is the executable itself, which every program of it shares.

${tables.join("\n\n")}
`;
}

/** Extracts this project's NSS module in the bed, beside the distribution's; returns its directory. */
async function ownModule(bed: { run(script: string): Promise<string> }): Promise<string> {
  return bed.run(`mkdir -p /tmp/other/etc /tmp/other/usr/lib/$(uname -m)-linux-gnu &&
    touch /tmp/other/usr/lib/$(uname -m)-linux-gnu/libc.so.6 && echo 'hosts: files' >/tmp/other/etc/nsswitch.conf &&
    machined install --root=/tmp/other --nss >/dev/null; mkdir -p /tmp/modules &&
    cp $(find /tmp/other -name 'libnss_mymachines.so.2') /tmp/modules && echo /tmp/modules`);
}

async function measure(tree: Tree, machines: number, rounds: number): Promise<string> {
  process.env["BED_TREE"] = tree;
  const { Bed } = await import("../lib/bed.ts");
  const source = await Bun.file(join(import.meta.dir, "measure.py")).text();
  const bed = await Bed.boot("bench");
  const take = async (who: string, modules = ""): Promise<Figures> => {
    console.log(`== ${tree}: ${who}`);
    const output = await bed.run(
      `python3 - ${machines} ${modules} <<'PYTHON'\n${source}\nPYTHON\n`,
      MEASURE_TIMEOUT_SECONDS,
    );
    return JSON.parse(output.split("\n").at(-1) ?? "") as Figures; // printed by measure.py
  };
  const stock: Figures[] = [];
  const ours: Figures[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      stock.push(await take(`systemd's, round ${round + 1} of ${rounds}`));
      await bed.install();
      ours.push(await take(`ours, round ${round + 1} of ${rounds}`, await ownModule(bed)));
      await bed.uninstall();
    }
  } finally {
    await bed.stop();
  }
  return table(machines, TREES[tree], medians(stock), medians(ours));
}

async function main(args: readonly string[]): Promise<number> {
  const only = option(args, "only", "machines");
  if (only === "transfers") return benchTransfers(args);
  if (only === "commands") return benchCommands(args);
  if (only === "scale") return benchScale(args);
  const tree = option(args, "bed", "bookworm");
  const machines = Number(option(args, "machines", "1000"));
  const rounds = Number(option(args, "rounds", "3"));
  if (!(tree in TREES) || !(machines >= 1) || !(rounds >= 1)) {
    console.error(`usage: npm run bench -- [--bed=${Object.keys(TREES).join("|")}] [--machines=N] [--rounds=N]`);
    return 2;
  }
  return withExecutable(tree as Tree, async () => {
    writePart(null, page([await measure(tree as Tree, machines, rounds)], rounds));
  });
}

process.exit(await main(process.argv.slice(2)));
