// Bytes with descriptors in through unix sockets: recvmsg(2), cmsg(3), SCM_RIGHTS in unix(7). Nothing here waits.
import { Fd } from "../file/fd.ts";
import { AF_UNIX, EAGAIN, MSG_DONTWAIT, MSG_TRUNC, SOL_SOCKET } from "../syscall/constants.ts";
import { type Pinned, pin, pinForever } from "../syscall/mem.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";
import { closeForeign } from "./foreign-close.ts";
import { align, CMSG_HEADER, control, header, MAX_FDS, prepare, SCM_RIGHTS } from "./message-header.ts";

/** Who sent a message, as the kernel vouches for it. */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Received {
  /** How many bytes arrived at the beginning of the memory given. */
  readonly bytes: number;
  /** The receiver owns them. */
  readonly fds: Fd[];
  /** The sender, on a socket that asks for it (`SO_PASSCRED`). */
  readonly credentials?: Credentials;
}

const SCM_CREDENTIALS = 2;
const SCM_PIDFD = 4;
const MSG_PEEK = 0x2;
const MSG_CTRUNC = 0x8;
const MSG_CMSG_CLOEXEC = 0x40000000;
const SO_OOBINLINE = 10;
const SO_DOMAIN = 39;
/** Room for the credentials of a sender, and for no descriptor behind them: struct ucred is 12 bytes. */
const WITHOUT_RIGHTS = 32;
const rest = pinForever(64 * 1024);
const no = pinForever(4);
const one = pinForever(4);
one.view.setInt32(0, 1, true);
const option = pinForever(12);
const optionSize = pinForever(4);

/**
 * Receives what is there into `into`: the bytes with the descriptors that came with them, `"again"` when nothing is there
 * yet, `"end"` when the peer has finished. More descriptors than `maxFds`, or than the process may open, throw `EXFULL`, a
 * datagram larger than `into` `EMSGSIZE`; what came of it is closed. With 0 the kernel drops them within this call, which
 * then waits as close(2) does.
 */
export function receiveMessage(socket: Fd, into: Pinned, maxFds: number = MAX_FDS): Received | "again" | "end" {
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
  if (maxFds > 0 && (isCut || received.fds.length > maxFds)) throw cut(received, "EXFULL");
  return received;
}

/** What a socket's buffer may hold at most, unless it was made larger. */
const MOST_LEFT_BYTES = 256 << 10;

/**
 * Receives bytes that came without descriptors, into `into`: their number, which is 0 when the peer has finished, or `"again"` when
 * nothing is there yet. Where descriptors are in the socket, `left` is a copy of the bytes up to them and with them, which
 * all stay where they are.
 */
export function receiveBytes(socket: number, into: Pinned): number | "again" | { readonly left: Buffer } {
  const count = peek(socket, into);
  if (count === EAGAIN) return "again";
  check(count, "recvmsg");
  if ((header.view.getUint32(48, true) & MSG_CTRUNC) === 0) {
    // These bytes and no more: what has come behind them since may have descriptors.
    prepare(into.address, count, 0);
    return check(trySys("recvmsg", socket, header, MSG_DONTWAIT), "recvmsg");
  }
  if (count < into.size) return { left: Buffer.from(into.bytes.subarray(0, count)) };
  // Looking stops behind the first bytes with descriptors, however far they are from what fits.
  const all = pin(MOST_LEFT_BYTES);
  return { left: Buffer.from(all.bytes.subarray(0, check(peek(socket, all), "recvmsg"))) };
}

function peek(socket: number, into: Pinned): number {
  prepare(into.address, into.size, 0);
  return trySys("recvmsg", socket, header, MSG_DONTWAIT | MSG_PEEK);
}

function cut({ fds }: Received, code: "EXFULL" | "EMSGSIZE"): SyscallError {
  for (const fd of fds) fd.close();
  return new SyscallError("recvmsg", code);
}

/** Bytes that wait in a connection, with the descriptors that came with them. */
export interface Left {
  readonly socket: Fd;
  readonly bytes: number;
}

/** Receives them: at most `most` descriptors, else `EXFULL`. They come from whoever is connected, and are closed without waiting. */
export function receiveLeft({ socket, bytes }: Left, most: number): Fd[] {
  const received = receiveMessage(socket, pin(bytes), most);
  if (typeof received === "string") throw new SyscallError("recvmsg", "ENODATA");
  return received.fds;
}

const SO_PASSRIGHTS = 83;

/**
 * Has the kernel refuse descriptors to whoever sends some to a connection that `listener` accepts later: `EPERM`. Before
 * Linux 6.16 they still come.
 */
export function refuseDescriptors(listener: Fd): void {
  trySys("setsockopt", listener.number, SOL_SOCKET, SO_PASSRIGHTS, no, no.size);
}

/**
 * Has bytes that a peer sends out of band (MSG_OOB) come in their place among the others. Looking at bytes passes over those that are
 * not, and reading the next ones drops them, with their descriptors, within that call.
 */
export function readInLine(socket: number): void {
  trySys("setsockopt", socket, SOL_SOCKET, SO_OOBINLINE, one, one.size);
}

const MOST_LEFT = 1024;
const SHUT_RDWR = 2;

/**
 * Closes a connection, in place of close(2). Descriptors on their way through a unix socket are closed with it, and close(2) waits for
 * them.
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

/** Whether there may be some in it, behind bytes that are taken out. Nothing more can come. */
function hasDescriptors(socket: number): boolean {
  try {
    for (let count = 0; count < MOST_LEFT; count++) {
      const received = receiveBytes(socket, rest);
      if (typeof received === "object") return true;
      if (received === "again" || received === 0) return false;
    }
  } catch {
    // It was reset, or is not connected.
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
