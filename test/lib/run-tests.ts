// Runs commands and `bun test` for test/run.ts. Their output is printed, their results are counted.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative } from "node:path";
import type { Subprocess } from "bun";
import type { Count } from "./count.ts";
import { parseDurations, parseJunit } from "./junit.ts";
import { GUARD_MS } from "./wait-for.ts";

export const TOP = join(import.meta.dir, "../..");

const running = new Set<Subprocess>();

/**
 * On SIGINT and SIGTERM, terminates the child processes and waits for them, so that the host suite can stop its beds.
 */
export function forwardSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, async () => {
      for (const child of running) child.kill("SIGTERM");
      await Promise.all([...running].map((child) => child.exited));
      process.exit(signal === "SIGINT" ? 130 : 143);
    });
  }
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** A text before each line of output, if several commands run at once. */
  readonly label?: string;
}

const LAST_LINES_MS = 5000;

/** Runs a command to its end, with a time limit; returns its exit status. */
export async function runCommand(command: string[], options: RunOptions = {}): Promise<number> {
  const { env = {}, timeoutMs = 2 * 3_600_000, label } = options;
  const output = label === undefined ? "inherit" : "pipe";
  const child = Bun.spawn(command, {
    cwd: TOP,
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: output,
    stderr: output,
  });
  running.add(child);
  const timer = setTimeout(() => {
    console.log(`${label ?? command[0]}: not done after ${timeoutMs / 60_000} minutes, ended`);
    child.kill("SIGTERM");
  }, timeoutMs);
  const printed =
    label === undefined ? null : Promise.all([printLabelled(child.stdout, label), printLabelled(child.stderr, label)]);
  const code = await child.exited;
  // A process that a test has left running may keep the pipes open.
  await Promise.race([printed, Bun.sleep(LAST_LINES_MS)]);
  clearTimeout(timer);
  running.delete(child);
  return code;
}

async function printLabelled(stream: ReadableStream<Uint8Array> | number | undefined, label: string): Promise<void> {
  if (!(stream instanceof ReadableStream)) return;
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) console.log(`[${label}] ${line}`);
  }
  if (rest !== "") console.log(`[${label}] ${rest}`);
}

/** Runs a command as one test; returns whether it succeeded. */
export async function runCheck(count: Count, name: string, command: string[], options?: RunOptions): Promise<boolean> {
  console.log(`== ${name}`);
  const ok = (await runCommand(command, options)) === 0;
  count.note(name, ok);
  return ok;
}

/** The time limit of tests without their own, so that a test that hangs ends. */
const TEST_TIMEOUT = `--timeout=${GUARD_MS}`;

/** The number of slowest files that are printed. */
const SLOWEST = 12;

/** The results of one run of `bun test`. */
interface FileResults {
  readonly code: number;
  readonly cases: ReturnType<typeof parseJunit>;
  readonly durations: ReturnType<typeof parseDurations>;
  /** Which tests were left out, with the reasons. */
  readonly leftOut: readonly string[];
}

/** Runs test files in one process. */
async function runFiles(files: readonly string[], options: RunOptions): Promise<FileResults> {
  const scratch = mkdtempSync(join(tmpdir(), "machined-run-"));
  const report = join(scratch, "junit.xml");
  const notes = join(scratch, "left-out");
  const reporter = ["--reporter=junit", `--reporter-outfile=${report}`];
  const paths = files.map((file) => `./${file}`);
  const code = await runCommand([process.execPath, "test", "--only-failures", TEST_TIMEOUT, ...reporter, ...paths], {
    ...options,
    env: { ...options.env, TEST_LEFT_OUT: notes },
  });
  const leftOut = existsSync(notes) ? readFileSync(notes, "utf8").trimEnd().split("\n") : [];
  const xml = existsSync(report) ? readFileSync(report, "utf8") : "";
  rmSync(scratch, { recursive: true });
  return { code, cases: parseJunit(xml), durations: parseDurations(xml), leftOut };
}

/** Runs the test files of a folder in one process, so that a crash does not affect other folders. */
export async function runFolder(count: Count, folder: string, options: RunOptions = {}): Promise<void> {
  const files = testFiles(folder).map((file) => join(folder, file));
  const { label = basename(folder) } = options;
  const title = label === basename(folder) ? folder : `${folder} (${label})`;
  if (files.length === 0) return;
  console.log(`== ${title}: ${files.length} ${files.length === 1 ? "file" : "files"}`);
  const { code, cases, durations, leftOut } = await runFiles(files, options);
  count.leftOut.push(...leftOut);
  const slowest = durations.slice(0, SLOWEST);
  const times = slowest.map(({ file, seconds }) => `${relative(folder, file)} ${seconds.toFixed(1)} s`);
  if (slowest.length > 1) console.log(`slowest of ${title}: ${times.join(", ")}`);
  let hasFailure = false;
  for (const path of files) {
    const file = relative(folder, path);
    const ofFile = cases.filter((one) => one.file === path);
    const nameOf = (name: string) => `${title}/${file}: ${name}`;
    const failed: string[] = [];
    for (const { name, outcome } of ofFile) {
      if (outcome === "skipped") count.leftOut.push(nameOf(name));
      else count.note(nameOf(name), outcome === "passed");
      if (outcome === "failed") failed.push(nameOf(name));
    }
    // A file that could not be loaded has no test cases, and a crash leaves no report at all.
    if (ofFile.length === 0) count.note(`${title}/${file}: did not run`, false);
    hasFailure ||= failed.length > 0 || ofFile.length === 0;
    if (failed.length > 0) count.canRepeat({ names: failed, again: () => runAgain(path, title, options) });
  }
  if (code !== 0 && !hasFailure) count.note(`${title}: bun test ended with ${code}`, false);
}

async function runAgain(path: string, title: string, options: RunOptions): Promise<boolean> {
  console.log(`== ${title}: ${basename(path)} again`);
  const { code, cases } = await runFiles([path], options);
  return code === 0 && cases.some(({ outcome }) => outcome === "passed");
}

function testFiles(folder: string): string[] {
  const path = join(TOP, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .sort();
}
