// Receives bytes with descriptors through unix sockets, without blocking: recvmsg(2), cmsg(3), SCM_RIGHTS in unix(7).
import { Fd } from "../file/fd.ts";
import { AF_UNIX, EAGAIN, MSG_DONTWAIT, MSG_TRUNC, SOL_SOCKET } from "../syscall/constants.ts";
import { type Pinned, pin, pinForever } from "../syscall/mem.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";
import { closeForeign } from "./foreign-close.ts";
import { MAX_FDS } from "./max-fds.ts";
import { align, CMSG_HEADER, control, header, prepare, SCM_RIGHTS } from "./message-header.ts";

/** The sender of a message, verified by the kernel. */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Received {
  /** How many bytes were received, at the beginning of the given memory. */
  readonly bytes: number;
  /** The received descriptors; the caller owns them. */
  readonly fds: Fd[];
  /** The sender, on a socket with `SO_PASSCRED`. */
  readonly credentials?: Credentials;
  /** Descriptors came with the bytes that this process could not open; all of them are closed. */
  readonly areLost?: true;
}

const SCM_CREDENTIALS = 2;
const SCM_PIDFD = 4;
const MSG_PEEK = 0x2;
const MSG_CTRUNC = 0x8;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SO_OOBINLINE = 10;
const SO_DOMAIN = 39;
/** The size of control data for credentials alone (struct ucred is 12 bytes), without room for a descriptor. */
const WITHOUT_RIGHTS = 32;
const rest = pinForever(64 * 1024);
const no = pinForever(4);
const one = pinForever(4);
one.view.setInt32(0, 1, true);
const option = pinForever(12);
const optionSize = pinForever(4);

/**
 * Receives available bytes into `into`, with the descriptors that were sent with them. Returns `"again"` where nothing
 * is available, `"end"` where the peer has shut down sending. Throws `EXFULL` for more descriptors than `maxFds` or
 * than the process may open, `EMSGSIZE` for a datagram larger than `into`; received descriptors are closed then. With
 * `"report"`, descriptors that the process may not open are lost, and no error. With `maxFds` 0 the kernel closes the
 * descriptors within this call, which may block as close(2) does.
 */
export function receiveMessage(
  socket: Fd,
  into: Pinned,
  maxFds: number = MAX_FDS,
  whenLost: "throw" | "report" = "throw",
): Received | "again" | "end" {
  prepare(into.address, into.size, maxFds === 0 ? WITHOUT_RIGHTS : control.size);
  const count = trySys("recvmsg", socket.number, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count === EAGAIN) return "again";
  check(count, "recvmsg");
  const flags = header.view.getUint32(48, true);
  const controlSize = header.view.getUint32(40, true);
  const isCut = (flags & MSG_CTRUNC) !== 0;
  if ((flags & MSG_TRUNC) !== 0) throw cut(readControl(count, controlSize), "EMSGSIZE");
  if (controlSize === 0 && !isCut) return count === 0 ? "end" : { bytes: count, fds: [] };
  const received = readControl(count, controlSize);
  if (maxFds > 0 && isCut && whenLost === "report") {
    for (const fd of received.fds) fd.close();
    return { bytes: count, fds: [], areLost: true };
  }
  if (maxFds > 0 && (isCut || received.fds.length > maxFds)) throw cut(received, "EXFULL");
  return received;
}

/**
 * Receives bytes from a socket that cannot carry descriptors into `into`. Returns their number, 0 at the end of the
 * stream, or `"again"` if no bytes have arrived.
 */
export function receivePlain(socket: number, into: Pinned): number | "again" {
  const count = trySys("recvfrom", socket, into, into.size, MSG_DONTWAIT);
  return count === EAGAIN ? "again" : check(count, "recvfrom");
}

/** The default limit of a socket's buffer. */
const MOST_LEFT_BYTES = 256 << 10;

/**
 * Receives bytes that were sent without descriptors into `into`. Returns their number, 0 where the peer has shut down
 * sending, or `"again"` where nothing is available. Where the socket has descriptors, nothing is received: `left` is a
 * copy of the bytes up to and with the first descriptors, which all stay in the socket.
 */
export function receiveBytes(socket: number, into: Pinned): number | "again" | { readonly left: Buffer } {
  const count = peek(socket, into);
  if (count === EAGAIN) return "again";
  check(count, "recvmsg");
  if ((header.view.getUint32(48, true) & MSG_CTRUNC) === 0) {
    // Exactly these bytes: bytes that arrived later may have descriptors.
    prepare(into.address, count, 0);
    return check(trySys("recvmsg", socket, header, MSG_DONTWAIT), "recvmsg");
  }
  if (count < into.size) return { left: Buffer.from(into.bytes.subarray(0, count)) };
  // MSG_PEEK stops after the first bytes with descriptors, which may be beyond `into`: peeks again with more memory.
  const all = pin(MOST_LEFT_BYTES);
  return { left: Buffer.from(all.bytes.subarray(0, check(peek(socket, all), "recvmsg"))) };
}

/** Copies available bytes into `into` and leaves them in the socket; MSG_CTRUNC is set where they have descriptors. */
function peek(socket: number, into: Pinned): number {
  prepare(into.address, into.size, 0);
  return trySys("recvmsg", socket, header, MSG_DONTWAIT | MSG_PEEK);
}

/** Closes the descriptors of a message that is refused; returns the error. */
function cut({ fds }: Received, code: "EXFULL" | "EMSGSIZE"): SyscallError {
  for (const fd of fds) fd.close();
  return new SyscallError("recvmsg", code);
}

/** Bytes that were left in a connection, up to and with the ones that carry descriptors. */
export interface Left {
  readonly socket: Fd;
  readonly bytes: number;
}

/**
 * Receives left bytes, and returns their descriptors, which close without blocking. Throws `EXFULL` for more than
 * `most`.
 */
export function receiveLeft({ socket, bytes }: Left, most: number): Fd[] {
  const received = receiveMessage(socket, pin(bytes), most);
  if (typeof received === "string") throw new SyscallError("recvmsg", "ENODATA");
  return received.fds;
}

const SO_PASSRIGHTS = 83;

/**
 * Refuses descriptors on connections that `listener` accepts later: their senders get `EPERM`. Has no effect before
 * Linux 6.16.
 */
export function refuseDescriptors(listener: Fd): void {
  trySys("setsockopt", listener.number, SOL_SOCKET, SO_PASSRIGHTS, no, no.size);
}

/**
 * Whether the connection cannot carry descriptors: SO_PASSRIGHTS was off at its listener before it was made (Linux
 * 6.16). False for connections made before that, and on older kernels.
 */
export function refusesDescriptors(socket: number): boolean {
  optionSize.view.setUint32(0, 4, true);
  const result = trySys("getsockopt", socket, SOL_SOCKET, SO_PASSRIGHTS, option, optionSize);
  return result === 0 && option.view.getInt32(0, true) === 0;
}

/**
 * Makes out-of-band bytes (MSG_OOB) part of the normal stream. Otherwise MSG_PEEK skips them, and reading the bytes
 * after them drops them with their descriptors, which may block as close(2) does.
 */
export function readInLine(socket: number): void {
  trySys("setsockopt", socket, SOL_SOCKET, SO_OOBINLINE, one, one.size);
}

const MOST_LEFT = 1024;
const SHUT_RDWR = 2;

/**
 * Closes a connection without blocking. Use it instead of close(2), which also closes the descriptors in the queue of a
 * unix socket, and may block on them.
 */
export function closeConnection(socket: number): void {
  readInLine(socket);
  optionSize.view.setUint32(0, option.size, true);
  const result = trySys("getsockopt", socket, SOL_SOCKET, SO_DOMAIN, option, optionSize);
  const isUnix = result === 0 && option.view.getInt32(0, true) === AF_UNIX;
  if (isUnix) trySys("shutdown", socket, SHUT_RDWR);
  if (isUnix && hasDescriptors(socket)) closeForeign(socket);
  else trySys("close", socket);
}

/** Whether the queue of a socket that was shut down may contain descriptors; discards the bytes in front of them. */
function hasDescriptors(socket: number): boolean {
  try {
    for (let count = 0; count < MOST_LEFT; count++) {
      const received = receiveBytes(socket, rest);
      if (typeof received === "object") return true;
      if (received === "again" || received === 0) return false;
    }
  } catch {
    // The connection was reset, or the socket is not connected.
  }
  return true;
}

function readControl(bytes: number, size: number): Received {
  const { view } = control;
  const fds: Fd[] = [];
  let credentials: Credentials | undefined;
  let length = 0;
  for (let at = 0; at + CMSG_HEADER <= size; at += align(length)) {
    length = view.getUint32(at, true);
    if (length < CMSG_HEADER || at + length > size) break;
    if (view.getInt32(at + 8, true) !== SOL_SOCKET) continue;
    const data = at + CMSG_HEADER;
    const type = view.getInt32(at + 12, true);
    if (type === SCM_RIGHTS) {
      for (let i = data; i + 4 <= at + length; i += 4) fds.push(Fd.adopt(view.getInt32(i, true), closeForeign));
    } else if (type === SCM_CREDENTIALS) {
      const [pid, uid] = [view.getInt32(data, true), view.getUint32(data + 4, true)];
      credentials = { pid, uid, gid: view.getUint32(data + 8, true) };
    } else if (type === SCM_PIDFD) {
      trySys("close", view.getInt32(data, true));
    }
  }
  return credentials === undefined ? { bytes, fds } : { bytes, fds, credentials };
}
