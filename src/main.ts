// The executable: picks a program by the name it was called with, or by its first argument (`machined PROGRAM …`), and
// loads only that (docs/decisions/0001-one-executable.md).
import { type ProgramRow, programOf } from "./programs.ts";

/** What was called for. */
type Choice =
  | { readonly kind: "program"; readonly name: string; readonly row: ProgramRow; readonly args: string[] }
  | { readonly kind: "overview" }
  | { readonly kind: "unknown"; readonly word: string };

function chosen(name: string, args: string[]): Choice {
  const row = programOf(name);
  return row === null ? { kind: "unknown", word: name } : { kind: "program", name, row, args };
}

/** `machined help` says what there is, `machined help PROGRAM` what that program takes. */
function helpFor([program]: string[]): Choice {
  return program === undefined ? { kind: "overview" } : chosen(program, ["--help"]);
}

/** The last part of a path; node:path has the same, at the price of loading it in every program. */
function basename(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** What the name and the arguments ask for. In a compiled file argv[0] is always "bun"; argv0 is the name it was called with. */
function choose(called: string, args: string[]): Choice {
  const name = basename(called);
  const row = programOf(name);
  if (row !== null && row.kind !== "verb") return { kind: "program", name, row, args };
  const [first, ...rest] = args;
  if (first !== undefined && programOf(first) !== null) return chosen(first, rest);
  if (!name.startsWith("machined")) return { kind: "unknown", word: name };
  if (first === undefined || first === "--help" || first === "-h") return { kind: "overview" };
  if (first === "help") return helpFor(rest);
  return first.startsWith("-") ? chosen("systemd-machined", args) : { kind: "unknown", word: first };
}

/** Clients name their features, as systemd's do; scripts ask for nothing more often, so that nothing else is loaded. */
async function versionOf({ kind }: ProgramRow): Promise<string> {
  if (kind === "client") return (await import("./cli/program/version.ts")).versionText();
  return (await import("./kernel/process/host-systemd.ts")).versionText();
}

async function executableMemoryAdvice(program: string): Promise<string> {
  const { executableMemoryAdvice: advice, unitInCgroup } = await import("./base/no-executable-memory.ts");
  const cgroup = await Bun.file("/proc/self/cgroup")
    .text()
    .catch(() => "");
  return advice(program, unitInCgroup(cgroup));
}

/**
 * The executable begins with a compiler that is in no hurry (install/build.ts), as most programs end before machine code has paid
 * for its compilation. Those that live longer get the usual one.
 */
const HURRY_AFTER_MS = 100;

async function main(): Promise<void> {
  setTimeout(() => Bun.unsafe.setJITPolicy(1), HURRY_AFTER_MS).unref();
  const choice = choose(process.argv0, process.argv.slice(2));
  if (choice.kind !== "program") {
    const { overview, unknownProgram } = await import("./overview.ts");
    if (choice.kind === "overview") process.stdout.write(overview());
    else process.stderr.write(unknownProgram(choice.word));
    process.exit(choice.kind === "overview" ? 0 : 1);
  }
  const { name, row, args } = choice;
  const parent = process.env["MACHINED_PARENT"];
  if (parent !== undefined) (await import("./kernel/process/parent.ts")).endWithParent(parent, name);
  try {
    if (args.length === 1 && args[0] === "--version") {
      console.log((await versionOf(row)).trimEnd());
      process.exit(0);
    }
    process.exit(await (await row.load()).main(args));
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "NoExecutableMemory") throw error;
    // Whoever called must see a reason: under a hardened unit this is the first and the last that is heard of us.
    process.stderr.write(`${await executableMemoryAdvice(name)}\n`);
    process.exit(1);
  }
}

await main();
