// The type of the fuzzer's targets, and functions that they share.
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../src/kernel/file/fd.ts";

/** A parser to fuzz. */
export interface Target {
  /** Valid inputs, from which others are made. */
  readonly seeds: readonly Buffer[];
  /** Runs the parser on an input. Throws for unexpected errors and invalid results. */
  run(bytes: Buffer): void | Promise<void>;
}

/**
 * Calls `parse`. Errors with these names are ignored, because the parser refuses input by them; others are rethrown.
 */
export function refusing(kinds: readonly string[], parse: () => void): void {
  try {
    parse();
  } catch (error) {
    requireKind(kinds, error);
  }
}

/** Rethrows an error unless its name is one of `kinds`. */
export function requireKind(kinds: readonly string[], error: unknown): void {
  if (!(error instanceof Error) || !kinds.includes(error.name)) throw error;
}

/** Returns seeds from texts. */
export function texts(...list: string[]): Buffer[] {
  return list.map((text) => Buffer.from(text));
}

let scratch: string | null = null;

/** Returns a directory for temporary files, on a tmpfs if there is one; it is removed when the process exits. */
export function scratchPath(): string {
  if (scratch !== null) return scratch;
  const base = readdirSync("/dev").includes("shm") ? "/dev/shm" : tmpdir();
  const path = mkdtempSync(join(base, "machined-fuzz-"));
  process.on("exit", () => rmSync(path, { recursive: true, force: true }));
  scratch = path;
  return path;
}

/** Calls `use` with an open file that has these contents; returns its result. */
export function withFile<Result>(bytes: Buffer, use: (file: ReturnType<typeof openPath>) => Result): Result {
  const path = join(scratchPath(), "input");
  const file = openSync(path, "w");
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
  closeSync(file);
  const opened = openPath(path, "read");
  const close = () => opened.close();
  const result = use(opened);
  if (result instanceof Promise) return result.finally(close) as Result;
  close();
  return result;
}

/** Calls `use` with a new empty directory. Throws if something was made outside of it. */
export function withDirectory(use: (path: string) => void): void {
  const outer = mkdtempSync(join(scratchPath(), "tree-"));
  const inner = join(outer, "inner");
  mkdirSync(inner);
  try {
    use(inner);
    const found = readdirSync(outer);
    if (found.length !== 1) throw new TypeError(`made ${found.join(", ")} outside of the tree`);
  } finally {
    rmSync(outer, { recursive: true, force: true });
  }
}
