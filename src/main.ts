// The executable: picks a program by the name it was called with, or by its first argument (`machined PROGRAM …`), and
// loads only that (docs/decisions/0001-one-executable.md).
import { basename } from "node:path";

type Program = (args: string[]) => Promise<number>;

/** A client that is only asked for its version answers without being loaded: scripts ask for nothing more often. */
function client(load: () => Promise<{ main: Program }>): () => Promise<{ main: Program }> {
  return async () => ({
    main: async (args) => {
      if (args.length !== 1 || args[0] !== "--version") return (await load()).main(args);
      console.log((await import("./cli/program/version.ts")).versionText().trimEnd());
      return 0;
    },
  });
}

/** Called names → entry points. Each is loaded when it is wanted: a program pays for nothing else. */
const PROGRAMS: Readonly<Record<string, () => Promise<{ main: Program }>>> = {
  "systemd-machined": () => import("./machined/main.ts"),
  machinectl: client(() => import("./cli/program/machinectl.ts")),
  importctl: client(() => import("./cli/program/importctl.ts")),
  "systemd-importd": () => import("./importd/main.ts"),
  "machined-exec": () => import("./execd/main.ts"),
  "machined-exec-command": () => import("./exec/command.ts"),
  "machined-worker": () => import("./worker/main.ts"),
  "nss-mymachines": () => import("./nss/lookup.ts"),
  "systemd-import": () => import("./worker/transfer/import.ts"),
  "systemd-import-fs": () => import("./worker/transfer/import-fs.ts"),
  "systemd-export": () => import("./worker/transfer/export.ts"),
  "systemd-pull": () => import("./worker/transfer/pull.ts"),
  "systemd-import-sweep": () => import("./worker/transfer/sweep.ts"),
  install: () => import("./setup/install.ts"),
  uninstall: () => import("./setup/uninstall.ts"),
};

/** Programs that are verbs of `machined` only: a file called `install` is none of ours. */
const VERBS_ONLY = new Set(["install", "uninstall"]);

const USAGE = `usage: machined PROGRAM [ARGUMENT…]

Programs: ${Object.keys(PROGRAMS).join(", ")}
Without a program, options go to systemd-machined. A link to this file that
bears a program's name runs that program.
`;

/** The program and its arguments. In a compiled file argv[0] is always "bun"; argv0 is the name it was called with. */
function choose(called: string, args: string[]): [string, string[]] | null {
  const name = basename(called);
  if (Object.hasOwn(PROGRAMS, name) && !VERBS_ONLY.has(name)) return [name, args];
  const [first] = args;
  if (first !== undefined && Object.hasOwn(PROGRAMS, first)) return [first, args.slice(1)];
  if (name.startsWith("machined") && (first === undefined || first.startsWith("-"))) return ["systemd-machined", args];
  return null;
}

async function executableMemoryAdvice(program: string): Promise<string> {
  const { executableMemoryAdvice: advice, unitInCgroup } = await import("./base/no-executable-memory.ts");
  const cgroup = await Bun.file("/proc/self/cgroup")
    .text()
    .catch(() => "");
  return advice(program, unitInCgroup(cgroup));
}

async function main(): Promise<void> {
  const chosen = choose(process.argv0, process.argv.slice(2));
  if (chosen === null) {
    process.stderr.write(USAGE);
    process.exit(1);
  }
  const [name, args] = chosen;
  const order = process.env["MACHINED_PARENT"];
  if (order !== undefined) (await import("./kernel/process/parent.ts")).endWithParent(order, name);
  try {
    const program = await (PROGRAMS[name] as () => Promise<{ main: Program }>)();
    process.exit(await program.main(args));
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "NoExecutableMemory") throw error;
    // Whoever called must see a reason: under a hardened unit this is the first and the last that is heard of us.
    process.stderr.write(`${await executableMemoryAdvice(name)}\n`);
    process.exit(1);
  }
}

await main();
