// The protocol with the service manager that started us: readiness, inherited sockets, watchdog. See sd_notify(3),
// sd_listen_fds(3), sd_watchdog_enabled(3).
import { lacksResources } from "../../base/absence.ts";
import { Fd, setNonblocking } from "../file/fd.ts";
import { SyscallError, unlessSyscallError } from "../syscall/sys.ts";
import { datagramSocket, sendDatagram, type UnixAddress, unixAddress } from "./unix.ts";

/** Returns the address in a value of $NOTIFY_SOCKET; null without a value and for families other than unix. */
function parseNotifySocket(value: string | undefined): UnixAddress | null {
  if (value?.startsWith("/")) return value;
  return value?.startsWith("@") && value.length > 1 ? { abstract: value.slice(1) } : null;
}

/** Stays open after the first message: later ones, those for the watchdog above all, need no free descriptor. */
let sender: Fd | null = null;

/**
 * Sends assignments ("READY=1\nSTATUS=…") and descriptors to the service manager. Returns false without $NOTIFY_SOCKET,
 * or where the manager's queue is full. Throws a SyscallError where the socket cannot be reached.
 */
export function notify(state: string, fds: readonly Fd[] = []): boolean {
  const address = parseNotifySocket(process.env["NOTIFY_SOCKET"]);
  if (address === null) return false;
  sender ??= datagramSocket();
  return sendDatagram(sender, Buffer.from(state), fds, unixAddress(address));
}

const READY_AGAIN_MS = 50;

/**
 * Sends READY=1, with a status; later and again where the queue of the service manager is full or no descriptor is
 * free: it waits for this message, and in the end kills who did not send it. A manager that cannot be reached waits for
 * nothing.
 */
export function notifyReady(status = ""): void {
  if (!isTaken(status === "" ? "READY=1" : `READY=1\nSTATUS=${status}`)) {
    setTimeout(() => notifyReady(status), READY_AGAIN_MS).unref();
  }
}

/** Sends a message; returns false where sending it again may help. */
function isTaken(state: string): boolean {
  try {
    return notify(state) || parseNotifySocket(process.env["NOTIFY_SOCKET"]) === null;
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    return !lacksResources(error);
  }
}

/** Sends STOPPING=1, with a status. A service manager that cannot be told notices the end by itself. */
export function notifyStopping(status = ""): void {
  unlessSyscallError(() => notify(status === "" ? "STOPPING=1" : `STOPPING=1\nSTATUS=${status}`), false);
}

interface InheritedFd {
  readonly fd: Fd;
  /** The FileDescriptorName= of the socket unit; "unknown" without one. */
  readonly name: string;
}

const FIRST_INHERITED = 3;

/**
 * Returns the sockets that the service manager passed, and makes them non-blocking and close-on-exec; the caller owns
 * them. A second call returns none, because the variables are removed, which also hides them from children.
 */
export function listenFds(): InheritedFd[] {
  const { LISTEN_PID: pid, LISTEN_FDS: count, LISTEN_FDNAMES: names = "" } = process.env;
  for (const name of ["LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete process.env[name];
  if (Number(pid) !== process.pid || !/^\d{1,4}$/.test(count ?? "")) return [];
  const labels = names.split(":");
  return Array.from({ length: Number(count) }, (_, index) => {
    const fd = Fd.inherited(FIRST_INHERITED + index);
    setNonblocking(fd);
    return { fd, name: labels[index] || "unknown" };
  });
}

/**
 * Returns the interval, in µs, in which the service manager expects "WATCHDOG=1"; null where it does not watch this
 * process.
 */
export function watchdogIntervalUsec(): number | null {
  const { WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = process.env;
  if (pid !== undefined && Number(pid) !== process.pid) return null;
  const interval = Number(usec);
  return Number.isSafeInteger(interval) && interval > 0 ? interval : null;
}
