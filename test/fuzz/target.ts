// What a target of the fuzzer is, and what targets share.
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../src/kernel/file/fd.ts";

export interface Target {
  readonly seeds: readonly Buffer[];
  /** Throws when the parser does something that it must not. */
  run(bytes: Buffer): void | Promise<void>;
}

/** Errors of these kinds are how a parser refuses. */
export function refusing(kinds: readonly string[], parse: () => void): void {
  try {
    parse();
  } catch (error) {
    requireKind(kinds, error);
  }
}

export function requireKind(kinds: readonly string[], error: unknown): void {
  if (!(error instanceof Error) || !kinds.includes(error.name)) throw error;
}

export function texts(...list: string[]): Buffer[] {
  return list.map((text) => Buffer.from(text));
}

let scratch: string | null = null;

/** A directory for inputs that are files, on a memory file system where there is one; removed when the process ends. */
export function scratchPath(): string {
  if (scratch !== null) return scratch;
  const base = readdirSync("/dev").includes("shm") ? "/dev/shm" : tmpdir();
  const path = mkdtempSync(join(base, "machined-fuzz-"));
  process.on("exit", () => rmSync(path, { recursive: true, force: true }));
  scratch = path;
  return path;
}

/** Has `use` work with a file of this content. */
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

/** Has `use` work with a new empty directory, and looks that nothing was made beside it. */
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
