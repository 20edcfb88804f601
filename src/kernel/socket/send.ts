// Bytes with descriptors out through unix sockets: sendmsg(2), SCM_RIGHTS in unix(7). Nothing here waits, and nothing here
// raises SIGPIPE.
import type { Fd } from "../file/fd.ts";
import { EAGAIN, MSG_DONTWAIT } from "../syscall/constants.ts";
import { type Pinned, pin, pinForever } from "../syscall/mem.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";
import { addressTo, header, MAX_FDS, prepare, writeRights } from "./message-header.ts";

const MSG_NOSIGNAL = 0x4000;
const outgoing = pinForever(256 * 1024);

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
  prepare(bytes.address, length, writeRights(fds.map(({ number }) => number)));
  const sent = trySys("sendmsg", socket.number, header, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent === EAGAIN ? -1 : check(sent, "sendmsg");
}

/** Puts the descriptor `number` on its way through a stream socket, with one byte; false where the kernel refuses. */
export function sendNumber(socket: Fd, number: number): boolean {
  prepare(outgoing.address, 1, writeRights([number]));
  return trySys("sendmsg", socket.number, header, MSG_DONTWAIT | MSG_NOSIGNAL) === 1;
}

/** Sends one whole datagram to the connected peer, or to the socket address `to`; false when its queue is full. */
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
