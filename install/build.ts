// Makes the executable: `npm run build` → dist/machined.
//
// Nothing of the directory it is started in may be read at run time (a compiled file would load .env and
// bunfig.toml, with its preloads, from there), hence the two --no-compile-autoload flags.
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const top = dirname(import.meta.dir);

/** The arguments of `bun build` for one target file. `sources` are the entry points: the second is a worker thread. */
export function buildArguments(outfile: string): string[] {
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
    join(top, "src/main.ts"),
    join(top, "src/kernel/poller-thread.ts"),
    "--outfile",
    outfile,
  ];
}

/**
 * Builds `outfile` (default dist/machined) and returns its path; throws with the compiler's output when that fails.
 * It is built in a folder beside its place and renamed, so that what stands there is always whole.
 */
export function build(outfile = join(top, "dist/machined")): string {
  mkdirSync(dirname(outfile), { recursive: true });
  const scratch = mkdtempSync(join(dirname(outfile), ".build-"));
  try {
    const built = join(scratch, basename(outfile));
    const run = Bun.spawnSync([process.execPath, ...buildArguments(built)], {
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
