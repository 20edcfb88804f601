// Makes the executable: `npm run build` → dist/machined.
//
// Nothing of the directory it is started in may be read at run time (a compiled file would load .env and
// bunfig.toml, with its preloads, from there), hence the two --no-compile-autoload flags.
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const top = dirname(import.meta.dir);

/** The arguments of `bun build` for one target file. The second entry point is a worker thread. */
function buildArguments(outfile: string, nssModule: string): string[] {
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
function buildNssModule(outfile: string): boolean {
  const compiler = compilerPath();
  if (compiler === null) return false;
  const command = [compiler, ...NSS_FLAGS, ...NSS_LINK, "-o", outfile, join(top, "src/nss/module.c")];
  const run = Bun.spawnSync(command, { stdout: "pipe", stderr: "pipe" });
  if (run.exitCode !== 0) throw new Error(`The NSS module does not compile:\n${run.stderr}`);
  return true;
}

const ENTER_FLAGS = ["-std=gnu11", "-Os", "-static", "-s", "-Wall", "-Wextra", "-Werror"];

/** Whether the compiler can link programs that need no shared library: Linux distributions package that library apart. */
function linksStatically(compiler: string, outfile: string): boolean {
  const command = [compiler, "-static", "-x", "c", "-o", outfile, "-"];
  return Bun.spawnSync(command, { stdin: Buffer.from("int main(void) { return 0; }\n") }).exitCode === 0;
}

/**
 * Compiles the program that enters machines (src/exec/enter.c) into `outfile`. Returns false without a C compiler or a
 * static C library: then `machinectl exec` is missing from the executable. Throws with the compiler's output where
 * compiling fails.
 */
export function buildEnterProgram(outfile: string): boolean {
  const compiler = compilerPath();
  if (compiler === null || !linksStatically(compiler, outfile)) return false;
  const sections = ["-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections"];
  const command = [compiler, ...ENTER_FLAGS, ...sections, "-o", outfile, join(top, "src/exec/enter.c")];
  const run = Bun.spawnSync(command, { stdout: "pipe", stderr: "pipe" });
  if (run.exitCode !== 0) throw new Error(`The program that enters machines does not compile:\n${run.stderr}`);
  return true;
}

/**
 * Builds `outfile` (default dist/machined) and returns its path; throws with the compiler's output when that fails.
 * It is built in a folder beside its place and renamed, so that the executable is never incomplete.
 */
export function build(outfile = join(top, "dist/machined")): string {
  mkdirSync(dirname(outfile), { recursive: true });
  const scratch = mkdtempSync(join(dirname(outfile), ".build-"));
  try {
    const built = join(scratch, basename(outfile));
    const library = join(scratch, "libnss_mymachines.so.2");
    const hasModule = buildNssModule(library);
    const enter = join(scratch, "machined-enter");
    const hasProgram = buildEnterProgram(enter);
    if (!hasModule) console.error("No C compiler: the executable will have neither the NSS module nor 'exec'");
    else if (!hasProgram) console.error("No static C library (Debian: libc6-dev): the executable will not have 'exec'");
    const program = hasProgram ? Bun.zstdCompressSync(readFileSync(enter), { level: 19 }) : "";
    // Where src/exec/helper.ts imports it from; another build may be reading there.
    writeFileSync(`${enter}.bin`, program);
    renameSync(`${enter}.bin`, join(top, "src/exec/program.bin"));
    const module = hasModule ? readFileSync(library).toString("base64") : "";
    const run = Bun.spawnSync([process.execPath, ...buildArguments(built, module)], {
      cwd: top,
      stdout: "pipe",
      stderr: "pipe",
    });
    if (run.exitCode !== 0) throw new Error(`bun build failed:\n${run.stdout}${run.stderr}`);
    renameSync(built, outfile);
    return outfile;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

if (import.meta.main) {
  const outfile = build(process.argv[2]);
  console.log(`${outfile}: ${(statSync(outfile).size / (1 << 20)).toFixed(1)} MiB`);
}
