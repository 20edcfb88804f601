// Pseudo terminals, of this host or of a machine's devpts: pty(7), ioctl_tty(2).
import { Fd, ioctl, openPath, reopen, statFd } from "../file/fd.ts";
import { fileSystemOf } from "../file/file-system.ts";
import { O_CLOEXEC, O_NOCTTY, O_RDWR } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { SyscallError, trySys } from "../syscall/sys.ts";

const TIOCSPTLCK = 0x40045431;
const TIOCGPTN = 0x80045430;
const TIOCGPTPEER = 0x5441;
const TIOCGWINSZ = 0x5413;
const TIOCSWINSZ = 0x5414;
const DEVPTS_MAGIC = 0x1cd1;
const PTMX = { major: 5, minor: 2 };

export interface Pty {
  /** The master; reading fails with `EIO` when no process has the terminal open. */
  readonly master: Fd;
  /** The path of the terminal in that devpts' root: `/dev/pts/N`. */
  readonly path: string;
}

const number = pinForever(4);

/** Returns a new pseudo terminal of this host. */
export function openPty(): Pty {
  // /dev/pts/ptmx mostly has mode 000; /dev/ptmx is accessible to all users.
  return unlocked(openPath("/dev/ptmx", "pty-master"));
}

/**
 * Returns a new pseudo terminal of the multiplexer (/dev/pts/ptmx of a machine) that `named` (O_PATH) refers to. Checks
 * it before opening it, because it could be any device. Throws `ENODEV` where it is not the multiplexer of a devpts.
 */
export function openPtyAt(named: Fd): Pty {
  const { kind, rdev } = statFd(named);
  const isMultiplexer = kind === "character" && rdev.major === PTMX.major && rdev.minor === PTMX.minor;
  if (!isMultiplexer || fileSystemOf(named).type !== DEVPTS_MAGIC) {
    throw new SyscallError("open", "ENODEV", "/dev/pts/ptmx");
  }
  return unlocked(reopen(named, "pty-master"));
}

function unlocked(master: Fd): Pty {
  return ptyOf(master, () => {
    number.view.setInt32(0, 0, true);
    ioctl(master, TIOCSPTLCK, number);
  });
}

/** Returns a terminal by its master, after `prepare`; closes the master on failure. */
export function ptyOf(master: Fd, prepare: () => void = () => {}): Pty {
  try {
    prepare();
    ioctl(master, TIOCGPTN, number);
    return { master, path: `/dev/pts/${number.view.getUint32(0, true)}` };
  } catch (error) {
    master.close();
    throw error;
  }
}

/** Opens the terminal of a master without using its path. It does not become our controlling terminal. */
export function openPtyPeer(master: Fd): Fd {
  return Fd.adopt(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
}

/** The maximum of rows and of columns. */
export const SIZE_MAX = 0xffff;

export interface WindowSize {
  readonly rows: number;
  readonly columns: number;
}

// struct winsize { u16 ws_row; u16 ws_col; u16 ws_xpixel; u16 ws_ypixel; }
const winsize = pinForever(8);

/** Returns the size of a terminal; throws `ENOTTY` for other files. */
export function getWindowSize(terminal: Fd): WindowSize {
  ioctl(terminal, TIOCGWINSZ, winsize);
  return { rows: winsize.view.getUint16(0, true), columns: winsize.view.getUint16(2, true) };
}

/** Sets the size of a terminal; its foreground programs get SIGWINCH. */
export function setWindowSize(terminal: Fd, size: WindowSize): void {
  winsize.bytes.fill(0);
  winsize.view.setUint16(0, size.rows, true);
  winsize.view.setUint16(2, size.columns, true);
  ioctl(terminal, TIOCSWINSZ, winsize);
}

/*
 * The kernel's struct termios, which is not libc's:
 *    0 u32 c_iflag; 4 u32 c_oflag; 8 u32 c_cflag; 12 u32 c_lflag; 16 u8 c_line; 17 u8 c_cc[19];  36 bytes
 */
const termios = pinForever(36);
const TCGETS = 0x5401;
const TCSETSW = 0x5403;
const VMIN = 17 + 6;
const VTIME = 17 + 5;

/** Settings of a terminal, for `restoreTerminal()`. */
export interface TerminalSettings {
  readonly settings: Buffer;
}

/** Returns the settings of a terminal. */
export function terminalSettings(terminal: Fd): TerminalSettings {
  ioctl(terminal, TCGETS, termios);
  return { settings: Buffer.from(termios.bytes) };
}

/**
 * Sets a terminal to raw mode, cfmakeraw(3); `"keep-output"` keeps the processing of output. Returns the former
 * settings.
 */
export function makeRaw(terminal: Fd, output: "raw" | "keep-output" = "raw"): TerminalSettings {
  const before = terminalSettings(terminal);
  const clear = (at: number, bits: number) =>
    termios.view.setUint32(at, termios.view.getUint32(at, true) & ~bits, true);
  clear(0, 0o2753); // IGNBRK BRKINT PARMRK ISTRIP INLCR IGNCR ICRNL IXON
  if (output === "raw") clear(4, 0o1); // OPOST
  clear(8, 0o460); // CSIZE PARENB
  clear(12, 0o100113); // ISIG ICANON ECHO ECHONL IEXTEN
  termios.view.setUint32(8, termios.view.getUint32(8, true) | 0o60, true); // CS8
  termios.bytes[VMIN] = 1;
  termios.bytes[VTIME] = 0;
  ioctl(terminal, TCSETSW, termios);
  return before;
}

/** Restores settings after all output was sent. */
export function restoreTerminal(terminal: Fd, { settings }: TerminalSettings): void {
  termios.bytes.set(settings);
  ioctl(terminal, TCSETSW, termios);
}

/** Returns whether `fd` is a terminal. */
export function isTerminal(fd: Fd): boolean {
  return trySys("ioctl", fd.number, TCGETS, termios) === 0;
}
