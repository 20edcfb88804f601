// Runs the tests and counts them: npm test (all), npm run check, npm run test:services, npm run test:host. The last
// line printed is "N passed, N failed". See test/README.md.
import { basename, join } from "node:path";
import { build } from "../install/build.ts";
import { Count } from "./lib/count.ts";
import {
  DEFAULT_TREES,
  isRoot,
  makeTrees,
  prepareBeds,
  provideBedPrograms,
  provideReleaseTestPrograms,
  provideTestPrograms,
  setAside,
  TREES,
  type Tree,
} from "./lib/host-suite.ts";
import { printHeading, runCheck, runFolder, TOP } from "./lib/run-tests.ts";
import { forwardSignals, removeDirectory } from "./lib/running.ts";

const HELP = `usage: test/run.ts check | services | all | host [--bed=TREE]… | environments [--bed=TREE]… | release [--bed=TREE]…

  check   format, lint, types, and the tests of code and interfaces: before each commit
  services  the tests of system calls, daemons in private directories, and a minute of fuzzing
  all     these two, the build, and the host suite in beds of systemd 252 and 262
  host    the build and the host suite; --bed= names the beds (${Object.keys(TREES).join(", ")})
  environments  the build, and beds with other inits and more programs
  release a release, its files, and its packages in beds of systemd 252, 257 and 262
`;

/** Tests that need neither root nor time. */
const QUICK_FOLDERS = ["test/unit", "test/contract"];
/** A time limit for tests that hang. */
const HOST_TIMEOUT_MS = 4 * 3_600_000;

const ALL_TREES = Object.keys(TREES).filter(isTree);

const WORDS = ["check", "services", "all", "host", "environments", "release"];

const inCi = process.env["CI"] === "true" || process.env["CI"] === "1";

/** Format, lint, types. */
async function checkText(count: Count): Promise<void> {
  const bin = (name: string) => join(TOP, "node_modules/.bin", name);
  await runCheck(count, "format and lint", [bin("biome"), "check", "--error-on-warnings", "."]);
  await runCheck(count, "types", [bin("tsc"), "--noEmit"]);
}

function runLabelled(count: Count, folder: string): Promise<void> {
  return runFolder(count, folder, { label: basename(folder) });
}

/** Runs at the same time what is run before each commit. */
async function check(count: Count): Promise<void> {
  await provideTestPrograms();
  await Promise.all([checkText(count), ...QUICK_FOLDERS.map((folder) => runLabelled(count, folder))]);
}

async function fuzz(count: Count): Promise<void> {
  const command = [process.execPath, join(TOP, "test/fuzz/run.ts"), "--minutes=1"];
  await runCheck(count, "fuzz, one minute", command, { label: "fuzz" });
}

/** Runs folders one after the other, then the fuzzer; the tests of services mostly wait, and run at the same time. */
async function withServices(count: Count, folders: readonly string[]): Promise<void> {
  const oneByOne = async () => {
    for (const folder of folders) await runLabelled(count, folder);
    await fuzz(count);
  };
  await Promise.all([oneByOne(), runLabelled(count, "test/service")]);
  if (inCi) await count.repeatFailed();
}

function buildExecutable(count: Count): string | null {
  printHeading("build");
  try {
    const executable = build();
    count.note("build", true);
    return executable;
  } catch (error) {
    console.log(error instanceof Error ? error.message : error);
    count.note("build", false);
    return null;
  }
}

/** Why beds of some trees cannot be booted; null where they can. */
type BedsReason = string | null;

/** Runs the tests of a folder in all beds at the same time, when `beds` are ready. */
async function host(count: Count, folder: string, trees: readonly Tree[], beds: Promise<BedsReason>): Promise<void> {
  const executable = buildExecutable(count);
  const reason = await beds;
  if (executable === null) return;
  if (reason !== null) {
    leaveOutBeds(count, folder, reason);
    return;
  }
  const directory = setAside(executable);
  const runs = trees.map((tree) => {
    const env = { BED_TREE: tree, MACHINED_DIST: directory };
    return runFolder(count, folder, { env, label: tree, timeoutMs: HOST_TIMEOUT_MS });
  });
  await Promise.all(runs);
  if (inCi) await count.repeatFailed();
  removeDirectory(directory);
}

function leaveOutBeds(count: Count, what: string, reason: string): void {
  count.leftOut.push(`${what}: ${reason}`);
  if (inCi) count.note(`${what}: ${reason}`, false);
}

/** Runs all tests. The trees of beds are made meanwhile, which takes minutes on a new machine. */
async function all(count: Count, trees: readonly Tree[]): Promise<void> {
  // One after the other: apt-get runs once at a time.
  for (const program of await provideTestPrograms())
    console.log(`left out: tests that need ${program}, which is not installed`);
  const missing = await provideBedPrograms();
  const beds = missing === null ? makeTrees(trees) : Promise.resolve(missing);
  await checkText(count);
  await withServices(count, ["test/unit", "test/kernel", "test/contract"]);
  await host(count, "test/host", trees, beds);
}

/** One bed after the other, because the executables of a release are large. */
async function release(count: Count, trees: readonly Tree[]): Promise<void> {
  const folder = join(TOP, "dist/release");
  await provideReleaseTestPrograms();
  const isMade = await runCheck(count, "release", [process.execPath, join(TOP, "install/release.ts"), folder]);
  if (!isMade) return;
  const env = { MACHINED_DIST: folder };
  await runFolder(count, "test/release/files", { env, timeoutMs: HOST_TIMEOUT_MS });
  const reason = await prepareBeds(trees);
  if (reason !== null) {
    leaveOutBeds(count, "test/release in beds", reason);
    return;
  }
  for (const tree of trees) {
    const options = { env: { ...env, BED_TREE: tree }, label: tree, timeoutMs: HOST_TIMEOUT_MS };
    await runFolder(count, "test/release/beds", options);
  }
  const arm64 = { env: { ...env, BED_TREE: "forky" }, label: "arm64", timeoutMs: HOST_TIMEOUT_MS };
  if (trees.includes("forky")) await runFolder(count, "test/release/arm64", arm64);
}

function isTree(name: string): name is Tree {
  return name in TREES;
}

async function main(args: string[]): Promise<number> {
  const [what, ...rest] = args;
  const named = rest.map((word) => (word.startsWith("--bed=") ? word.slice(6) : ""));
  const beds = named.filter(isTree);
  if (what === undefined || !WORDS.includes(what) || beds.length < named.length) {
    process.stderr.write(HELP);
    return 2;
  }
  forwardSignals();
  // Users other than root read what tests, builds and the trees of beds are made of.
  process.umask(0o022);
  const count = new Count();
  if (!isRoot) count.leftOut.push(`all tests that need root: this is user ${process.geteuid?.()}`);
  if (what === "check") await check(count);
  if (what === "services") {
    await provideTestPrograms();
    await withServices(count, ["test/kernel"]);
  }
  const trees = beds.length > 0 ? beds : DEFAULT_TREES;
  if (what === "all") await all(count, trees);
  if (what === "host" || what === "environments") await host(count, `test/${what}`, trees, prepareBeds(trees));
  if (what === "release") await release(count, beds.length > 0 ? beds : ALL_TREES);
  count.report();
  return count.failed.length > 0 ? 1 : 0;
}

process.exit(await main(process.argv.slice(2)));
