// What the tests of the kernel layer share: privileges, scratch directories, processes in namespaces, and a C compiler.
import { afterAll, test } from "bun:test";
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { watch } from "../../src/kernel/event/poller.ts";
import { readSome, writeSome } from "../../src/kernel/file/byte-io.ts";
import type { Fd } from "../../src/kernel/file/fd.ts";
import { openPipe } from "../../src/kernel/process/pipe.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS, WAIT_MS } from "../lib/wait-for.ts";

/** How often each cheap wrapper is called: code is optimised, and then may move memory, after some thousand calls. */
export const MANY = 50_000;

export const isRoot = process.geteuid?.() === 0;

/** A test that needs root; without root it is skipped, with the reason in its title. */
export function rootTest(name: string, body: () => void | Promise<void>, timeoutMs = GUARD_MS): void {
  test.skipIf(!isRoot)(isRoot ? name : `${name} (left out: needs root)`, body, timeoutMs);
}

/** A directory that is removed after the tests of this file. */
export function scratchDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), "kernel-test-"));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Polls every millisecond until `condition` returns something other than false, null or undefined. */
export async function until<T>(condition: () => T | false | null | undefined, what: string): Promise<T> {
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const value = condition();
    if (value !== false && value !== null && value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`Waited in vain for ${what}`);
    await Bun.sleep(1);
  }
}

/**
 * Reads `length` bytes, one character each, from a terminal: it may deliver what one call has written in pieces, and
 * later.
 */
export async function received(terminal: Fd, length: number): Promise<string> {
  let text = "";
  await until(() => {
    text += readSome(terminal)?.toString("latin1") ?? "";
    return text.length >= length;
  }, `${length} bytes`);
  return text;
}

/** Waits until the poller has reported all events up to now: it reports them in the order in which they happened. */
export async function reported(): Promise<void> {
  const [read, write] = openPipe();
  const { promise, resolve } = Promise.withResolvers<void>();
  watch(read, { read: true }, () => resolve());
  writeSome(write, Buffer.from("x"));
  await promise;
  read.close();
  write.close();
}

interface Namespaced extends AsyncDisposable {
  readonly pid: number;
}

/**
 * Starts a process in new namespaces: `kinds` are options of unshare(1). It runs `prepare`, a shell command, and then
 * sleeps. Dispose of it to end it.
 */
export async function startNamespaced(kinds: readonly string[], prepare = "true"): Promise<Namespaced> {
  const command = ["unshare", ...kinds, "--fork", "--kill-child", "sh", "-c", `${prepare} && exec sleep 1000`];
  const outer = Bun.spawn(command, { stdio: ["ignore", "ignore", "inherit"] });
  const end = async () => {
    outer.kill(9);
    await outer.exited;
  };
  const findSleeper = () => {
    if (outer.exitCode !== null) throw new Error(`unshare failed with ${outer.exitCode}`);
    const child = Number(readFileSync(`/proc/${outer.pid}/task/${outer.pid}/children`, "utf8").trim());
    return child > 0 && readFileSync(`/proc/${child}/comm`, "utf8") === "sleep\n" && child;
  };
  try {
    return { pid: await until(findSleeper, "unshare to start its child"), [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Compiles and runs a C program and returns what it prints; null, with a printed reason, without a compiler. */
export function runC(source: string): string | null {
  if (!havePrograms("the comparison with the C library's headers", "gcc")) return null;
  const directory = mkdtempSync(join(tmpdir(), "kernel-test-c-"));
  try {
    writeFileSync(join(directory, "a.c"), source);
    const built = Bun.spawnSync(["gcc", "-o", join(directory, "a"), join(directory, "a.c")]);
    if (built.exitCode !== 0) throw new Error(built.stderr.toString());
    return Bun.spawnSync([join(directory, "a")], { env: { LC_ALL: "C" } }).stdout.toString();
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Runs a script which imports from `src/kernel` as "./kernel/…", in a process of its own. */
export async function runScript(source: string, env: Record<string, string> = {}) {
  const directory = mkdtempSync(join(tmpdir(), "kernel-test-script-"));
  try {
    const file = join(directory, "script.ts");
    writeFileSync(file, source.replaceAll('"./kernel/', `"${join(import.meta.dir, "../../src/kernel")}/`));
    const child = Bun.spawn([process.execPath, file], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
      timeout: WAIT_MS,
    });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { stdout, stderr, exitCode: await child.exited };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The target of a descriptor of this process. */
export function targetOf(fd: number): string {
  return readlinkSync(`/proc/self/fd/${fd}`);
}
