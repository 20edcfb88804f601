// Runs commands and `bun test` for test/run.ts. Their output is printed, their results are counted.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import type { Count } from "./count.ts";
import { parseDurations, parseJunit } from "./junit.ts";
import { begin, finished, makeDirectory, removeDirectory, terminate } from "./running.ts";
import { GUARD_MS } from "./wait-for.ts";

export const TOP = join(import.meta.dir, "../..");

/** Prints what begins, and how long this program has run. */
export function printHeading(what: string): void {
  const seconds = Math.floor(performance.now() / 1000);
  console.log(`== ${what} (after ${Math.floor(seconds / 60)} min ${seconds % 60} s)`);
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** A text before each line of output, if several commands run at once. */
  readonly label?: string;
  /** Gets each line of output. */
  readonly onLine?: (line: string) => void;
}

const LAST_LINES_MS = 5000;
/** Variables that change what `bun test` and the programs under test write; CI often sets FORCE_COLOR. */
const CHANGES_OUTPUT = /^(FORCE_COLOR|CLICOLOR_FORCE|NO_COLOR|SYSTEMD_(COLORS|URLIFY|EMOJI|PAGER\w*|LESS\w*|LOG_\w+))$/;

/** Runs a command to its end, with a time limit; returns its exit status. */
export async function runCommand(command: string[], options: RunOptions = {}): Promise<number> {
  const { env = {}, timeoutMs = 2 * 3_600_000, label, onLine = () => {} } = options;
  const output = label === undefined && options.onLine === undefined ? "inherit" : "pipe";
  const print = (line: string) => {
    console.log(label === undefined ? line : `[${label}] ${line}`);
    onLine(line);
  };
  const stdio = { stdin: "ignore", stdout: output, stderr: output } as const;
  const around = Object.fromEntries(Object.entries(process.env).filter(([name]) => !CHANGES_OUTPUT.test(name)));
  const child = await begin(() => Bun.spawn(command, { cwd: TOP, env: { ...around, ...env }, ...stdio }));
  const timer = setTimeout(() => {
    console.log(`${label ?? command[0]}: not done after ${timeoutMs / 60_000} minutes, ended`);
    void terminate(child);
  }, timeoutMs);
  const printed = Promise.all([forLines(child.stdout, print), forLines(child.stderr, print)]);
  const code = await child.exited;
  // A process that a test has left running may keep the pipes open.
  await Promise.race([printed, Bun.sleep(LAST_LINES_MS)]);
  clearTimeout(timer);
  finished(child);
  return code;
}

/** Calls `use` with each line of a stream. */
async function forLines(
  stream: ReadableStream<Uint8Array> | number | undefined,
  use: (line: string) => void,
): Promise<void> {
  if (!(stream instanceof ReadableStream)) return;
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) use(line);
  }
  if (rest !== "") use(rest);
}

/** Runs a command as one test; returns whether it succeeded. */
export async function runCheck(count: Count, name: string, command: string[], options?: RunOptions): Promise<boolean> {
  printHeading(name);
  const ok = (await runCommand(command, options)) === 0;
  count.note(name, ok);
  return ok;
}

/** The time limit of tests without their own, so that a test that hangs ends. */
const TEST_TIMEOUT = `--timeout=${GUARD_MS}`;

/** The number of slowest files that are printed. */
const SLOWEST = 12;
/** The tests of a folder that took longer are not all run again for one error. */
const REPEATED_SECONDS = 180;

/** The results of one run of `bun test`. */
interface FileResults {
  readonly code: number;
  readonly cases: ReturnType<typeof parseJunit>;
  readonly durations: ReturnType<typeof parseDurations>;
  /** Which tests were left out, with the reasons. */
  readonly leftOut: readonly string[];
  /** How many errors were in no test, such as in the function of a describe(): the report does not have them. */
  readonly errors: number;
}

/** What `bun test` prints at its end of errors in no test. */
const ERRORS = /^ *(\d+) errors?$/;

/** Runs test files in one process. */
async function runFiles(files: readonly string[], options: RunOptions): Promise<FileResults> {
  const scratch = makeDirectory("machined-run-");
  const report = join(scratch, "junit.xml");
  const notes = join(scratch, "left-out");
  const reporter = ["--reporter=junit", `--reporter-outfile=${report}`];
  const paths = files.map((file) => `./${file}`);
  let errors = 0;
  const code = await runCommand([process.execPath, "test", "--only-failures", TEST_TIMEOUT, ...reporter, ...paths], {
    ...options,
    env: { ...options.env, TEST_LEFT_OUT: notes },
    onLine: (line) => {
      errors += Number(ERRORS.exec(line)?.[1] ?? 0);
    },
  });
  const leftOut = existsSync(notes) ? readFileSync(notes, "utf8").trimEnd().split("\n") : [];
  const xml = existsSync(report) ? readFileSync(report, "utf8") : "";
  removeDirectory(scratch);
  return { code, cases: parseJunit(xml), durations: parseDurations(xml), leftOut, errors };
}

/** Runs the test files of a folder in one process, so that a crash does not affect other folders. */
export async function runFolder(count: Count, folder: string, options: RunOptions = {}): Promise<void> {
  const files = testFiles(folder).map((file) => join(folder, file));
  const { label = basename(folder) } = options;
  const title = label === basename(folder) ? folder : `${folder} (${label})`;
  if (files.length === 0) return;
  printHeading(`${title}: ${files.length} ${files.length === 1 ? "file" : "files"}`);
  const { code, cases, durations, leftOut, errors } = await runFiles(files, options);
  count.leftOut.push(...leftOut);
  const slowest = durations.slice(0, SLOWEST);
  const times = slowest.map(({ file, seconds }) => `${relative(folder, file)} ${seconds.toFixed(1)} s`);
  if (slowest.length > 1) console.log(`slowest of ${title}: ${times.join(", ")}`);
  const named = files.map((path): NamedFile => ({ path, name: `${title}/${relative(folder, path)}` }));
  const ofAll = named.map((file) => ({ file, results: resultsOf(file, cases) }));
  const seconds = durations.reduce((sum, one) => sum + one.seconds, 0);
  // Such an error is that of any file that ran before, and keeps others from running.
  const isWhole = errors > 0 && seconds < REPEATED_SECONDS;
  const wholeAgain = (error: string) => {
    const failed = (isMissing: boolean) =>
      ofAll.flatMap(({ results }) => (results.isMissing === isMissing ? results.failed : []));
    return {
      passed: ofAll.flatMap(({ results }) => results.passed),
      failed: failed(false),
      around: [...failed(true), error],
      again: () => runAgain(count, title, named, options),
    };
  };
  let hasFailure = false;
  for (const { file, results } of ofAll) {
    for (const name of results.passed) count.note(name, true);
    for (const name of results.failed) count.note(name, false);
    count.leftOut.push(...results.leftOut);
    if (results.failed.length > 0 && !results.isMissing && !isWhole) {
      const { passed, failed } = results;
      count.canRepeat({ passed, failed, again: () => runAgain(count, file.name, [file], options) });
    }
    hasFailure ||= results.failed.length > 0;
  }
  // Neither is in the report of the tests, and no second attempt of a file undoes it.
  if (errors > 0) {
    const error = `${title}: ${errors} ${errors === 1 ? "error" : "errors"} outside of tests`;
    count.note(error, false);
    if (isWhole) count.canRepeat(wholeAgain(error));
  } else if (code !== 0 && (code !== FAILED || !hasFailure)) {
    count.note(`${title}: bun test ended with ${code}`, false);
  }
}

/** The exit status of `bun test` where tests failed. */
const FAILED = 1;

/** A test file, and its name in the count. */
interface NamedFile {
  readonly path: string;
  readonly name: string;
}

/** The results of the tests of one file, by their names in the count. */
interface NamedResults {
  readonly passed: string[];
  readonly failed: string[];
  readonly leftOut: string[];
  /** Whether there is no result: the file could not be loaded, or all ended before the report was written. */
  readonly isMissing: boolean;
}

function resultsOf({ path, name: file }: NamedFile, cases: FileResults["cases"]): NamedResults {
  const ofFile = cases.filter((one) => resolve(TOP, one.file) === join(TOP, path));
  const named = (wanted: string) =>
    ofFile.filter(({ outcome }) => outcome === wanted).map(({ name }) => `${file}: ${name}`);
  const isMissing = ofFile.length === 0;
  const failed = isMissing ? [`${file}: did not run`] : named("failed");
  return { passed: named("passed"), failed, leftOut: named("skipped"), isMissing };
}

/** Runs files again, in one process; returns the names of the tests that passed, null where anything failed. */
async function runAgain(
  count: Count,
  name: string,
  files: readonly NamedFile[],
  options: RunOptions,
): Promise<readonly string[] | null> {
  printHeading(`${name} again`);
  const { code, cases, leftOut, errors } = await runFiles(
    files.map(({ path }) => path),
    options,
  );
  const results = files.map((file) => resultsOf(file, cases));
  if (code !== 0 || errors > 0 || results.some(({ failed }) => failed.length > 0)) return null;
  count.leftOut.push(...leftOut, ...results.flatMap((one) => one.leftOut));
  return results.flatMap(({ passed }) => passed);
}

function testFiles(folder: string): string[] {
  const path = join(TOP, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .sort();
}
