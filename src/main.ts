// The executable: picks a program by the name it was called with, or by its first argument (`machined PROGRAM …`), and
// loads only that (docs/decisions/0001-one-executable.md).
import { type ProgramRow, programOf } from "./programs.ts";

/** What the command line selects. */
type Choice =
  | { readonly kind: "program"; readonly name: string; readonly row: ProgramRow; readonly args: string[] }
  | { readonly kind: "overview" }
  | { readonly kind: "unknown"; readonly word: string };

function chosen(name: string, args: string[]): Choice {
  const row = programOf(name);
  return row === null ? { kind: "unknown", word: name } : { kind: "program", name, row, args };
}

/** `machined help` prints the list of programs, `machined help PROGRAM` the help of that program. */
function helpFor([program]: string[]): Choice {
  return program === undefined ? { kind: "overview" } : chosen(program, ["--help"]);
}

/** Returns the last part of a path. Not imported from node:path, which every program would have to load. */
function basename(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/**
 * Returns the choice for `called`, the name of the executable as it was called, and its arguments. The caller passes
 * argv0: in a compiled file argv[0] is always "bun".
 */
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

/**
 * Returns the output of `--version`. Scripts often call it, so that little is loaded. Clients name their features, as
 * systemd's do.
 */
async function versionOf({ kind }: ProgramRow): Promise<string> {
  if (kind === "client") return (await import("./cli/program/version.ts")).versionText();
  return (await import("./kernel/process/host-systemd.ts")).versionText();
}

/** Returns the error text for a program in a unit that forbids executable memory. */
async function executableMemoryAdvice(program: string): Promise<string> {
  const { executableMemoryAdvice: advice, unitInCgroup } = await import("./base/no-executable-memory.ts");
  const cgroup = await Bun.file("/proc/self/cgroup")
    .text()
    .catch(() => "");
  return advice(program, unitInCgroup(cgroup));
}

/**
 * Returns the error text for an argument that is not UTF-8; null where all are. Called for arguments with the character
 * that stands for other bytes, but may also be meant.
 */
async function encodingProblem(): Promise<string | null> {
  const { otherEncoding } = await import("./kernel/process/argument-encoding.ts");
  const argument = otherEncoding();
  return argument === null ? null : `The argument '${argument}' is not UTF-8.`;
}

/** Writes a text to standard output; returns the exit status. A reader that has ended is no error. */
async function print(text: string): Promise<number> {
  try {
    await Bun.write(Bun.stdout, text);
    return 0;
  } catch (error) {
    const { errnoNameOf } = await import("./base/error.ts");
    const { errnoText } = await import("./base/errno.ts");
    const code = error instanceof Error && "code" in error ? String(error.code) : (errnoNameOf(error) ?? "EIO");
    if (code === "EPIPE") return 0;
    process.stderr.write(`Failed to write output: ${errnoText(code)}\n`);
    return 1;
  }
}

/**
 * The executable starts with a compiler that rarely makes machine code (install/build.ts), because most programs end
 * before that code has saved the time of its compilation. After this time, the engine's usual policy applies.
 */
const USUAL_COMPILER_AFTER_MS = 100;

async function main(): Promise<void> {
  setTimeout(() => Bun.unsafe.setJITPolicy(1), USUAL_COMPILER_AFTER_MS).unref();
  const choice = choose(process.argv0, process.argv.slice(2));
  if (choice.kind !== "program") {
    const { overview, unknownProgram } = await import("./overview.ts");
    if (choice.kind === "overview") process.exit(await print(overview()));
    process.stderr.write(unknownProgram(choice.word));
    process.exit(1);
  }
  const { name, row, args } = choice;
  const problem = args.some((arg) => arg.includes("\ufffd")) ? await encodingProblem() : null;
  if (problem !== null) {
    process.stderr.write(`${problem}\n`);
    process.exit(1);
  }
  const parent = process.env["MACHINED_PARENT"];
  if (parent !== undefined) (await import("./kernel/process/parent.ts")).endWithParent(parent, name);
  try {
    if (args.length === 1 && args[0] === "--version") {
      process.exit(await print(`${(await versionOf(row)).trimEnd()}\n`));
    }
    process.exit(await (await row.load()).main(args));
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "NoExecutableMemory") throw error;
    // Under a unit with MemoryDenyWriteExecute=yes, this text is the only output of the program.
    process.stderr.write(`${await executableMemoryAdvice(name)}\n`);
    process.exit(1);
  }
}

await main();
