// What src/kernel/terminal/own-streams.ts does, by the modules of the engine: for a client that may not make executable memory, and
// so can make no system call of its own. `machinectl list` needs no others.
import { existsSync, fstatSync, writeSync } from "node:fs";
import { isatty } from "node:tty";

/** isatty(3). */
export function isTerminal(fd: number): boolean {
  try {
    return fstatSync(fd).isCharacterDevice() && isatty(fd);
  } catch {
    return false;
  }
}

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
