// What can be asked of a terminal from its master's side, and raw output without raw input: ioctl_tty(2), termios(3).
import { type Fd, ioctl } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";
import { isErrno } from "../syscall/sys.ts";
import { type TerminalSettings, terminalSettings } from "./pty.ts";

const TCGETS = 0x5401;
const TCSETSW = 0x5403;
const TIOCGSID = 0x5429;
const ICANON = 0x2;
const OPOST = 0x1;
/** Where the members of the kernel's struct termios are; VEOF is the fifth of the control characters. */
const OFLAG = 4;
const LFLAG = 12;
const VEOF = 17 + 4;

const termios = pinForever(36);
const number = pinForever(4);

/** The leader of the session that has the terminal behind this master; null while nobody has, or nobody we can see. */
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
  /** Input goes to the reader line by line. */
  readonly isByLine: boolean;
  /** The byte that means end of file; 0 for none. */
  readonly endOfFile: number;
}

/** How the terminal behind this master takes input now. */
export function inputMode(master: Fd): InputMode {
  ioctl(master, TCGETS, termios);
  return {
    isByLine: (termios.view.getUint32(LFLAG, true) & ICANON) !== 0,
    endOfFile: termios.bytes[VEOF] ?? 0,
  };
}

/** Output passes as it is, input is left alone; returns the settings before. */
export function makeOutputRaw(terminal: Fd): TerminalSettings {
  const before = terminalSettings(terminal);
  termios.bytes.set(before.settings);
  termios.view.setUint32(OFLAG, termios.view.getUint32(OFLAG, true) & ~OPOST, true);
  ioctl(terminal, TCSETSW, termios);
  return before;
}
