// The state of a terminal as seen from its master, and raw output without raw input: ioctl_tty(2), termios(3).
import { type Fd, ioctl } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";
import { isErrno } from "../syscall/sys.ts";
import { type TerminalSettings, terminalSettings } from "./pty.ts";

const TCGETS = 0x5401;
const TCSETSW = 0x5403;
const TIOCGSID = 0x5429;
const ICANON = 0x2;
const OPOST = 0x1;
/** Offsets in the kernel's struct termios; VEOF is the fifth of the control characters. */
const OFLAG = 4;
const LFLAG = 12;
const VEOF = 17 + 4;

const termios = pinForever(36);
const number = pinForever(4);

/**
 * Returns the leader of the session that the master's terminal controls; null without one, or outside of our pid
 * namespace.
 */
export function sessionLeader(master: Fd): number | null {
  try {
    ioctl(master, TIOCGSID, number);
  } catch (error) {
    if (isErrno(error, "ENOTTY", "EIO")) return null;
    throw error;
  }
  return number.view.getInt32(0, true) || null;
}

interface InputMode {
  /** Canonical mode: the reader gets whole lines. */
  readonly isByLine: boolean;
  /** The character for end of file; 0 for none. */
  readonly endOfFile: number;
}

/** Returns the present input mode of the master's terminal. */
export function inputMode(master: Fd): InputMode {
  ioctl(master, TCGETS, termios);
  return {
    isByLine: (termios.view.getUint32(LFLAG, true) & ICANON) !== 0,
    endOfFile: termios.bytes[VEOF] ?? 0,
  };
}

/** Disables the processing of output, and leaves input unchanged; returns the former settings. */
export function makeOutputRaw(terminal: Fd): TerminalSettings {
  const before = terminalSettings(terminal);
  termios.bytes.set(before.settings);
  termios.view.setUint32(OFLAG, termios.view.getUint32(OFLAG, true) & ~OPOST, true);
  ioctl(terminal, TCSETSW, termios);
  return before;
}
