// The functions of src/kernel/terminal/own-streams.ts, implemented with the engine's modules. They are used where
// executable memory is forbidden, so that bun:ffi cannot make system calls; `machinectl list` works there.
import { existsSync, writeSync } from "node:fs";

/** The width of the terminal `fd`; undefined where that is no terminal. */
export function terminalColumns(fd: number): number | undefined {
  return (fd === 1 ? process.stdout : process.stderr).columns;
}

/** Writes some bytes and returns how many; throws an error with a code. */
export function writeSome(fd: number, bytes: Uint8Array): number {
  return writeSync(fd, bytes);
}

/** Whether a path of this host exists. */
export const isThere: (path: string) => boolean = existsSync;
