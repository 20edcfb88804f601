// Images that are stacks of layers (mstack).
import { mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";

const LAYER = /^layer@(\d+)$/;

/** Returns the layers of a stack, the uppermost first. A layer is a link, or a directory in the stack itself. */
export function stackLayers(path: string): { name: string; isDirectory: boolean }[] {
  const number = (name: string) => Number(LAYER.exec(name)?.[1]);
  const entries = readdirSync(path, { withFileTypes: true }).filter(({ name }) => LAYER.test(name));
  entries.sort((a, b) => number(b.name) - number(a.name));
  return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
}

/**
 * Makes a stack with the same layers and an empty writable directory, which must not exist. The daemon cannot clone
 * stacks. A stack that cannot be completed is removed.
 */
export function cloneStack(from: string, to: string): void {
  mkdirSync(to, { mode: 0o755 });
  try {
    for (const { name, isDirectory } of stackLayers(from)) {
      symlinkSync(isDirectory ? join("..", basename(from), name) : readlinkSync(join(from, name)), join(to, name));
    }
    mkdirSync(join(to, "rw"), { mode: 0o755 });
  } catch (error) {
    rmSync(to, { recursive: true });
    throw error;
  }
}
