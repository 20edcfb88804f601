// Makes the executable: `npm run build` → dist/machined, for this machine. install/release.ts makes it for the others.
//
// Nothing of the directory it is started in may be read at run time (a compiled file would load .env and
// bunfig.toml, with its preloads, from there), hence the two --no-compile-autoload flags.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";

const top = dirname(import.meta.dir);

/** Another machine than this one, for which an executable is made. */
interface OtherMachine {
  /** Bun's name of it (`bun-linux-arm64-musl`): with it the bundler knows `process.arch`. */
  readonly bunTarget: string;
  /** Bun for it: what the executable consists of but for our code. Without it `bun build` would download one. */
  readonly bun: string;
  /** A C compiler that compiles for it. */
  readonly compiler: string;
  /** Whether its C library loads modules for names: glibc does, musl does not. */
  readonly hasNss: boolean;
}

interface BuildOptions {
  /** Whom it is for; without it, this machine. */
  readonly machine?: OtherMachine;
  /** Where to write what the executable is made of, as JSON. */
  readonly metafile?: string;
}

/** The arguments of `bun build` for one target file. The second entry point is a worker thread. */
function buildArguments(outfile: string, nssModule: string, { machine, metafile }: BuildOptions = {}): string[] {
  return [
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    "--format=esm",
    "--splitting",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    "--external=x11",
    `--define=NSS_MODULE=${JSON.stringify(nssModule)}`,
    join(top, "src/main.ts"),
    join(top, "src/kernel/event/poller-thread.ts"),
    "--outfile",
    outfile,
    ...(machine === undefined ? [] : [`--target=${machine.bunTarget}`, `--compile-executable-path=${machine.bun}`]),
    ...(metafile === undefined ? [] : [`--metafile=${metafile}`]),
  ];
}

const NSS_FLAGS = ["-std=gnu11", "-O2", "-fPIC", "-shared", "-s", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"];
const NSS_LINK = ["-Wl,-z,now,-z,relro", "-Wl,-soname,libnss_mymachines.so.2"];

function compilerPath(): string | null {
  return Bun.which("cc") ?? Bun.which("gcc");
}

/**
 * Compiles the C library's module (src/nss/module.c) into `outfile`. Returns false without a C compiler: then
 * `machined install --nss` is missing from the executable. Throws with the compiler's output where compiling fails.
 */
function buildNssModule(outfile: string, compiler: string | null): boolean {
  return compile("The NSS module", compiler, [...NSS_FLAGS, ...NSS_LINK, "-o", outfile, "src/nss/module.c"]);
}

const ENTER_FOLDER = "src/exec/enter";
const ENTER_FLAGS = ["-std=gnu11", "-Os", "-static", "-s", "-Wall", "-Wextra", "-Werror"];
const ENTER_LINK = ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"];

/** Whether the compiler can link programs that need no shared library: Linux distributions package that library apart. */
function linksStatically(compiler: string, outfile: string): boolean {
  const command = [compiler, "-static", "-x", "c", "-o", outfile, "-"];
  return Bun.spawnSync(command, { stdin: Buffer.from("int main(void) { return 0; }\n") }).exitCode === 0;
}

/** The C files of that program, always in the same order: the same sources are the same program. */
function enterSources(): string[] {
  const files = readdirSync(join(top, ENTER_FOLDER)).filter((name) => name.endsWith(".c"));
  return files.sort().map((name) => join(ENTER_FOLDER, name));
}

/**
 * Compiles the program that enters machines (src/exec/enter) into `outfile`. Returns false without a C compiler or a
 * static C library: then `machinectl exec` is missing from the executable. Throws with the compiler's output where
 * compiling fails.
 */
export function buildEnterProgram(outfile: string, compiler: string | null = compilerPath()): boolean {
  if (compiler === null || !linksStatically(compiler, outfile)) return false;
  const words = [...ENTER_FLAGS, ...ENTER_LINK, "-o", outfile, ...enterSources()];
  return compile("The program that enters machines", compiler, words);
}

function compile(what: string, compiler: string | null, words: string[]): boolean {
  if (compiler === null) return false;
  const run = Bun.spawnSync([compiler, ...words], { cwd: top, stdout: "pipe", stderr: "pipe" });
  if (run.exitCode !== 0) throw new Error(`${what} does not compile:\n${run.stderr}`);
  return true;
}

/** Where src/exec/helper.ts imports the program from that enters machines. */
const PROGRAM = join(top, "src/exec/program.bin");

/**
 * Builds `outfile` (default dist/machined) and returns its path; throws with the compiler's output when that fails.
 * It is built in a folder beside its place and renamed, so that the executable is never incomplete. Its name is part of
 * its bytes: the same sources under the same name are the same file.
 */
export function build(outfile = join(top, "dist/machined"), options: BuildOptions = {}): string {
  mkdirSync(dirname(outfile), { recursive: true });
  const scratch = mkdtempSync(join(dirname(outfile), ".build-"));
  const { machine } = options;
  // A program for another machine stands in the tree only while that executable is built.
  const before = machine !== undefined && existsSync(PROGRAM) ? readFileSync(PROGRAM) : null;
  try {
    const built = join(scratch, basename(outfile));
    const compiler = machine?.compiler ?? compilerPath();
    const module = machine?.hasNss === false ? "" : nssModule(scratch, compiler);
    const hasProgram = putEnterProgram(scratch, compiler);
    if (machine !== undefined && !hasProgram) throw new Error(`${compiler} has no static C library`);
    const run = Bun.spawnSync([process.execPath, ...buildArguments(built, module, options)], {
      cwd: top,
      // Libraries choose code by it, and whoever builds may have it set.
      env: { ...process.env, NODE_ENV: "production" },
      stdout: "pipe",
      stderr: "pipe",
    });
    if (run.exitCode !== 0) throw new Error(`bun build failed:\n${run.stdout}${run.stderr}`);
    renameSync(built, outfile);
    return outfile;
  } finally {
    if (before !== null) putProgram(scratch, before);
    rmSync(scratch, { recursive: true });
  }
}

/** The compiled module in base64; "" without a C compiler. */
function nssModule(scratch: string, compiler: string | null): string {
  const library = join(scratch, "libnss_mymachines.so.2");
  if (buildNssModule(library, compiler)) return readFileSync(library).toString("base64");
  console.error("No C compiler: the executable will have neither the NSS module nor 'exec'");
  return "";
}

/** Compiles the program that enters machines to where it is imported from; returns whether that could be done. */
function putEnterProgram(scratch: string, compiler: string | null): boolean {
  const enter = join(scratch, "machined-enter");
  const hasProgram = buildEnterProgram(enter, compiler);
  if (!hasProgram && compiler !== null) {
    console.error("No static C library (Debian: libc6-dev): the executable will not have 'exec'");
  }
  putProgram(scratch, hasProgram ? Bun.zstdCompressSync(readFileSync(enter), { level: 19 }) : "");
  return hasProgram;
}

/** Puts the bytes there in one step: another build may be reading. */
function putProgram(scratch: string, bytes: Uint8Array | string): void {
  const temporary = join(scratch, "program.bin");
  writeFileSync(temporary, bytes);
  renameSync(temporary, PROGRAM);
}

if (import.meta.main) {
  const outfile = build(process.argv[2]);
  console.log(`${outfile}: ${(statSync(outfile).size / (1 << 20)).toFixed(1)} MiB`);
}
