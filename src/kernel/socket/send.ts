// Sends bytes with descriptors through unix sockets, without blocking and without SIGPIPE: sendmsg(2), SCM_RIGHTS in
// unix(7).
import type { Fd } from "../file/fd.ts";
import { EAGAIN, MSG_DONTWAIT } from "../syscall/constants.ts";
import { type Pinned, pin, pinForever } from "../syscall/mem.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";
import { MAX_FDS } from "./max-fds.ts";
import { addressTo, header, prepare, writeRights } from "./message-header.ts";

const MSG_NOSIGNAL = 0x4000;
const outgoing = pinForever(256 * 1024);

/**
 * Sends as much of `bytes` as is possible, at most 256 KiB, through a stream socket, with `fds` attached to the first
 * byte. Returns the number of bytes; -1 where nothing can be sent now. The caller still owns `fds`. Throws `EPIPE` or
 * `ECONNRESET` where the peer has closed, `EINVAL` for more than 253 descriptors.
 */
export function sendMessage(socket: Fd, bytes: Uint8Array, fds: readonly Fd[] = []): number {
  const part = bytes.length > outgoing.size ? bytes.subarray(0, outgoing.size) : bytes;
  outgoing.bytes.set(part);
  return sendPinned(socket, outgoing, part.length, fds);
}

/** As `sendMessage()`, for `length` bytes at the beginning of pinned memory. */
export function sendPinned(socket: Fd, bytes: Pinned, length: number, fds: readonly Fd[]): number {
  if (fds.length > MAX_FDS) throw new SyscallError("sendmsg", "EINVAL");
  prepare(bytes.address, length, writeRights(fds.map(({ number }) => number)));
  const sent = trySys("sendmsg", socket.number, header, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent === EAGAIN ? -1 : check(sent, "sendmsg");
}

/** Sends the descriptor `number` through a stream socket, with one byte; returns false where the kernel refuses. */
export function sendNumber(socket: Fd, number: number): boolean {
  prepare(outgoing.address, 1, writeRights([number]));
  return trySys("sendmsg", socket.number, header, MSG_DONTWAIT | MSG_NOSIGNAL) === 1;
}

/** Sends one datagram to the connected peer, or to the socket address `to`; returns false where its queue is full. */
export function sendDatagram(socket: Fd, bytes: Uint8Array, fds: readonly Fd[] = [], to?: Pinned): boolean {
  if (fds.length > MAX_FDS) throw new SyscallError("sendmsg", "EINVAL");
  const memory = bytes.length > outgoing.size ? pin(bytes.length) : outgoing;
  memory.bytes.set(bytes);
  prepare(memory.address, bytes.length, writeRights(fds.map(({ number }) => number)));
  if (to !== undefined) addressTo(to);
  const sent = trySys("sendmsg", socket.number, header, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent === EAGAIN) return false;
  check(sent, "sendmsg");
  return true;
}
