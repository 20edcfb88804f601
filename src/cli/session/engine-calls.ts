// The functions of src/kernel/terminal/own-streams.ts, implemented with the engine's modules. They are used where
// executable memory is forbidden, so that bun:ffi cannot make system calls; `machinectl list` works there. The modules
// are not imported: the bundler would have every client load them.
import type * as NodeFs from "node:fs";
import { lazy } from "../../base/lazy.ts";

const fs = lazy((): typeof NodeFs => process.getBuiltinModule("node:fs"));

/** The width of the terminal `fd`; undefined where that is no terminal. */
export function terminalColumns(fd: number): number | undefined {
  return (fd === 1 ? process.stdout : process.stderr).columns;
}

/** Writes some bytes and returns how many; throws an error with a code. */
export function writeSome(fd: number, bytes: Uint8Array): number {
  return fs().writeSync(fd, bytes);
}

/** Whether a path of this host exists. */
export function isThere(path: string): boolean {
  return fs().existsSync(path);
}
