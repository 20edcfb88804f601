// Bytes with descriptors through unix sockets: sendmsg(2), recvmsg(2), cmsg(3), SCM_RIGHTS in unix(7). Nothing here
// waits, and nothing here raises SIGPIPE.
import { Fd } from "../file/fd.ts";
import { closeForeign, isCongested, socketDomain } from "../file/foreign-close.ts";
import { AF_UNIX, EAGAIN, MSG_DONTWAIT, MSG_TRUNC, SOL_SOCKET } from "../syscall/constants.ts";
import { type Pinned, pin, pinForever } from "../syscall/mem.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";

/** The kernel refuses more descriptors than this in one message. */
export const MAX_FDS = 253;

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

const SCM_RIGHTS = 1;
const SCM_CREDENTIALS = 2;
const SCM_PIDFD = 4;
const MSG_PEEK = 0x2;
const MSG_CTRUNC = 0x8;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

/*
 * struct msghdr {                          struct iovec { 0 void *iov_base; 8 size_t iov_len; };  16 bytes
 *    0 void *msg_name;                     struct cmsghdr { 0 size_t cmsg_len; 8 int cmsg_level; 12 int cmsg_type; };
 *    8 socklen_t msg_namelen;              16 bytes, data behind it, the next one at a multiple of 8
 *   16 struct iovec *msg_iov;
 *   24 size_t msg_iovlen;
 *   32 void *msg_control;
 *   40 size_t msg_controllen;
 *   48 int msg_flags;  56 bytes in all
 * };
 */
const CMSG_HEADER = 16;
// 253 descriptors, credentials, a pidfd, and a security label, with their headers.
const control = pinForever(4096);
const iovec = pinForever(16);
const header = pinForever(56);
const outgoing = pinForever(256 * 1024);
const rest = pinForever(64 * 1024);
const peeked = pinForever(1);
const no = pinForever(4);

function prepare(address: number, size: number, controlSize: number): void {
  setPointer(iovec, 0, address);
  setPointer(iovec, 8, size);
  setPointer(header, 0, 0);
  header.view.setUint32(8, 0, true);
  setPointer(header, 16, iovec.address);
  setPointer(header, 24, 1);
  setPointer(header, 32, controlSize === 0 ? 0 : control.address);
  setPointer(header, 40, controlSize);
  header.view.setUint32(48, 0, true);
}

/** Addresses and lengths stay below 2^53, and two halves are cheaper than a BigInt. */
function setPointer(at: Pinned, offset: number, value: number): void {
  at.view.setUint32(offset, value >>> 0, true);
  at.view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}

/**
 * Sends what goes of `bytes` (256 KiB at most) through a stream socket, with `fds` attached to the first byte: the count
 * sent, or -1 when nothing goes now. The descriptors went with the first byte, and stay the caller's to close. `EPIPE`
 * and `ECONNRESET` when the peer is gone, `EINVAL` for more than 253 descriptors.
 */
export function sendMessage(socket: Fd, bytes: Uint8Array, fds: readonly Fd[] = []): number {
  const part = bytes.length > outgoing.size ? bytes.subarray(0, outgoing.size) : bytes;
  outgoing.bytes.set(part);
  return sendPinned(socket, outgoing, part.length, fds);
}

/** `sendMessage()` for bytes that lie at the beginning of pinned memory already. */
export function sendPinned(socket: Fd, bytes: Pinned, length: number, fds: readonly Fd[]): number {
  if (fds.length > MAX_FDS) throw new SyscallError("sendmsg", "EINVAL");
  prepare(bytes.address, length, writeRights(fds));
  const sent = trySys("sendmsg", socket.number, header, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent === EAGAIN ? -1 : check(sent, "sendmsg");
}

/** Sends one whole datagram to the connected peer, or to the socket address `to`; false when its queue is full. */
export function sendDatagram(socket: Fd, bytes: Uint8Array, fds: readonly Fd[] = [], to?: Pinned): boolean {
  if (fds.length > MAX_FDS) throw new SyscallError("sendmsg", "EINVAL");
  const memory = bytes.length > outgoing.size ? pin(bytes.length) : outgoing;
  memory.bytes.set(bytes);
  prepare(memory.address, bytes.length, writeRights(fds));
  if (to !== undefined) {
    setPointer(header, 0, to.address);
    header.view.setUint32(8, to.size, true);
  }
  const sent = trySys("sendmsg", socket.number, header, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent === EAGAIN) return false;
  check(sent, "sendmsg");
  return true;
}

function writeRights(fds: readonly Fd[]): number {
  if (fds.length === 0) return 0;
  const length = CMSG_HEADER + 4 * fds.length;
  setPointer(control, 0, length);
  control.view.setInt32(8, SOL_SOCKET, true);
  control.view.setInt32(12, SCM_RIGHTS, true);
  for (const [index, fd] of fds.entries()) control.view.setInt32(CMSG_HEADER + 4 * index, fd.number, true);
  return align(length);
}

/**
 * Receives what is there into `into`: the bytes with the descriptors that came with them, `"again"` when nothing is there
 * yet, `"end"` when the peer has finished. A message whose descriptors did not all fit (more than the process may open)
 * throws `EXFULL`, a datagram larger than `into` `EMSGSIZE`; what came of it is closed. With `maxFds` a message with more
 * descriptors throws `EXFULL`, too; with 0 they are closed, and the bytes come alone. All of them are taken in any case: those
 * that the kernel drops itself it closes within this call, which then waits as close(2) does.
 */
export function receiveMessage(socket: Fd, into: Pinned, maxFds?: number): Received | "again" | "end" {
  return receiveFrom(socket.number, into, maxFds);
}

function receiveFrom(socket: number, into: Pinned, maxFds: number | undefined): Received | "again" | "end" {
  prepare(into.address, into.size, control.size);
  const count = trySys("recvmsg", socket, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count === EAGAIN) return "again";
  check(count, "recvmsg");
  const flags = header.view.getUint32(48, true);
  const controlSize = header.view.getUint32(40, true);
  const isCut = (flags & (MSG_TRUNC | MSG_CTRUNC)) !== 0;
  if (controlSize === 0 && !isCut) return count === 0 ? "end" : { bytes: count, fds: [] };
  const received = readControl(count, controlSize);
  const isTooMany = maxFds !== undefined && received.fds.length > maxFds;
  if (isCut || isTooMany) for (const fd of received.fds.splice(0)) fd.close();
  const isRefusal = maxFds === 0 && (flags & MSG_TRUNC) === 0;
  if (!isRefusal && (isCut || isTooMany))
    throw new SyscallError("recvmsg", (flags & MSG_TRUNC) !== 0 ? "EMSGSIZE" : "EXFULL");
  return count === 0 && received.fds.length === 0 && received.credentials === undefined ? "end" : received;
}

const SO_PASSRIGHTS = 83;

/**
 * Has the kernel refuse descriptors to whoever sends some to a connection that `listener` accepts later: `EPERM`. Before
 * Linux 6.16 they still come.
 */
export function refuseDescriptors(listener: Fd): void {
  trySys("setsockopt", listener.number, SOL_SOCKET, SO_PASSRIGHTS, no, no.size);
}

/** Whether the next bytes on `socket` come with descriptors. They stay where they are. */
export function bringsDescriptors(socket: number): boolean {
  prepare(peeked.address, peeked.size, 0);
  const count = trySys("recvmsg", socket, header, MSG_DONTWAIT | MSG_PEEK);
  return count >= 0 && (header.view.getUint32(48, true) & MSG_CTRUNC) !== 0;
}

const MOST_LEFT = 1024;
const SHUT_RDWR = 2;

/**
 * Closes a connection, in place of close(2). Descriptors on their way through a unix socket are closed with it, and close(2) waits for
 * them: they are taken out first, with the bytes that nobody reads any more.
 */
export function closeConnection(socket: number): void {
  if (socketDomain(socket) === AF_UNIX) {
    trySys("shutdown", socket, SHUT_RDWR);
    for (let count = 0; isLeft(socket); count++) {
      if (count < MOST_LEFT && !(isCongested() && bringsDescriptors(socket))) continue;
      closeForeign(socket);
      return;
    }
  }
  trySys("close", socket);
}

/** Takes the next bytes and throws them away; false when there were none. */
function isLeft(socket: number): boolean {
  try {
    return typeof receiveFrom(socket, rest, 0) !== "string";
  } catch {
    return false;
  }
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

function align(length: number): number {
  return (length + 7) & ~7;
}
