// Builds the executable: `npm run build` → dist/machined, for this machine. install/release.ts builds it for others.
//
// By default, a compiled executable loads .env and bunfig.toml with its preloads from the current directory, which
// would let files there run code as root. The two --no-compile-autoload options turn that off.
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

/** A machine other than this one, for which to build. */
interface OtherMachine {
  /** Bun's name of the machine (`bun-linux-arm64-musl`), from which the bundler takes `process.arch`. */
  readonly bunTarget: string;
  /**
   * The path of the Bun executable for it, to which the code is appended. Without it, `bun build` would download one.
   */
  readonly bun: string;
  /** A C compiler for the machine. */
  readonly compiler: string;
  /** Whether its C library can load NSS modules: glibc can, musl cannot. */
  readonly hasNss: boolean;
}

interface BuildOptions {
  /** The machine to build for; this one by default. */
  readonly machine?: OtherMachine;
  /** Where to write the bundler's metafile: a JSON list of the modules in the executable. */
  readonly metafile?: string;
}

/**
 * How much later than usual the engine compiles a function to machine code: short commands end before the compilation
 * has saved time. src/main.ts restores the usual policy. With 16, `machinectl show` has 210 page faults fewer; larger
 * numbers have no further effect.
 */
const JIT_POLICY = 16;

/** Returns the arguments of `bun build`.  */
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
    `--compile-jit-policy=${JIT_POLICY}`,
    "--external=x11",
    `--define=NSS_MODULE=${JSON.stringify(nssModule)}`,
    join(top, "src/main.ts"),
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
 * Compiles the NSS module (src/nss/module.c) to `outfile`. Returns false without a C compiler; the executable then
 * lacks `machined install --nss`. Throws an error with the compiler's output if compiling fails.
 */
function buildNssModule(outfile: string, compiler: string | null): boolean {
  return compile("The NSS module", compiler, [...NSS_FLAGS, ...NSS_LINK, "-o", outfile, "src/nss/module.c"]);
}

const ENTER_FOLDER = "src/exec/enter";
const ENTER_FLAGS = ["-std=gnu11", "-Os", "-static", "-s", "-Wall", "-Wextra", "-Werror"];
const ENTER_LINK = ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"];

/**
 * Whether the compiler can link static programs; the static C library is a package of its own in some distributions.
 */
function linksStatically(compiler: string, outfile: string): boolean {
  const command = [compiler, "-static", "-x", "c", "-o", outfile, "-"];
  return Bun.spawnSync(command, { stdin: Buffer.from("int main(void) { return 0; }\n") }).exitCode === 0;
}

/** Returns the C files of the program that enters machines. They are sorted, so that the build is reproducible. */
function enterSources(): string[] {
  const files = readdirSync(join(top, ENTER_FOLDER)).filter((name) => name.endsWith(".c"));
  return files.sort().map((name) => join(ENTER_FOLDER, name));
}

/**
 * Compiles the program that enters machines (src/exec/enter) to `outfile`. Returns false without a C compiler or a
 * static C library; the executable then lacks `machinectl exec`. Throws an error with the compiler's output if
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

/** The path from which src/exec/helper.ts imports the program that enters machines. */
const PROGRAM = join(top, "src/exec/program.bin");

/**
 * Builds `outfile` (default dist/machined) and returns its path; throws an error with the compiler's output if that
 * fails. It is built in a temporary directory beside `outfile` and renamed, so that the executable is never incomplete.
 * The build is reproducible for one file name, because the name is part of the executable.
 */
export function build(outfile = join(top, "dist/machined"), options: BuildOptions = {}): string {
  mkdirSync(dirname(outfile), { recursive: true });
  const scratch = mkdtempSync(join(dirname(outfile), ".build-"));
  const { machine } = options;
  // While building for another machine, its program replaces the one of this machine, which is restored at the end.
  const before = machine !== undefined && existsSync(PROGRAM) ? readFileSync(PROGRAM) : null;
  try {
    const built = join(scratch, basename(outfile));
    const compiler = machine?.compiler ?? compilerPath();
    const module = machine?.hasNss === false ? "" : nssModule(scratch, compiler);
    const hasProgram = putEnterProgram(scratch, compiler);
    if (machine !== undefined && !hasProgram) throw new Error(`${compiler} has no static C library`);
    const run = Bun.spawnSync([process.execPath, ...buildArguments(built, module, options)], {
      cwd: top,
      // Set here, because libraries choose code by it and the caller's environment may have another value.
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

/** Returns the compiled NSS module in base64; "" without a C compiler. */
function nssModule(scratch: string, compiler: string | null): string {
  const library = join(scratch, "libnss_mymachines.so.2");
  if (buildNssModule(library, compiler)) return readFileSync(library).toString("base64");
  console.error("No C compiler: the executable will have neither the NSS module nor 'exec'");
  return "";
}

/**
 * Compiles the program that enters machines and puts it to PROGRAM, empty if it cannot be built; returns whether it was
 * built.
 */
function putEnterProgram(scratch: string, compiler: string | null): boolean {
  const enter = join(scratch, "machined-enter");
  const hasProgram = buildEnterProgram(enter, compiler);
  if (!hasProgram && compiler !== null) {
    console.error("No static C library (Debian: libc6-dev): the executable will not have 'exec'");
  }
  putProgram(scratch, hasProgram ? readFileSync(enter) : "");
  return hasProgram;
}

/** Replaces PROGRAM by rename(2), because another build may be reading it. */
function putProgram(scratch: string, bytes: Uint8Array | string): void {
  const temporary = join(scratch, "program.bin");
  writeFileSync(temporary, bytes);
  renameSync(temporary, PROGRAM);
}

if (import.meta.main) {
  const outfile = build(process.argv[2]);
  console.log(`${outfile}: ${(statSync(outfile).size / (1 << 20)).toFixed(1)} MiB`);
}
