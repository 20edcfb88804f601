// The standard streams of this process: what they lead to, and writing to them. node:fs, node:tty and the stream
// objects of the engine can do the same; loading them takes longer than a short command may take. See ioctl_tty(2),
// write(2).
import { AT_FDCWD } from "../syscall/constants.ts";
import { pinForever, scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";

const TIOCGWINSZ = 0x5413;

// struct winsize { 0 unsigned short rows; 2 columns; 4 xpixel; 6 ypixel; }
const answer = pinForever(8);
const outgoing = pinForever(64 * 1024);

/** The width of the terminal `fd`, 0 where it has none; undefined where that is no terminal. */
export function terminalColumns(fd: number): number | undefined {
  return trySys("ioctl", fd, TIOCGWINSZ, answer) === 0 ? answer.view.getUint16(2, true) : undefined;
}

/**
 * Writes some bytes, 64 KiB at most, and returns how many; throws SyscallError, EAGAIN where nothing can be written
 * now.
 */
export function writeSome(fd: number, bytes: Uint8Array): number {
  const part = bytes.length > outgoing.size ? bytes.subarray(0, outgoing.size) : bytes;
  outgoing.bytes.set(part);
  return check(trySys("write", fd, outgoing, part.length), "write");
}

/** Writes a whole text; waits until that is possible. */
export function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let done = 0; done < bytes.length; ) done += writeSome(fd, bytes.subarray(done));
}

const PATH_MAX = 4096;

/** Whether a path of this host exists. */
export function isThere(path: string): boolean {
  return path.length < PATH_MAX && trySys("faccessat", AT_FDCWD, scratchString(path), 0) === 0;
}
