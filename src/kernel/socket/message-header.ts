// The struct msghdr for sendmsg(2) and recvmsg(2), with one buffer and control data: cmsg(3). All calls share one
// header, because none of them blocks.
import { SOL_SOCKET } from "../syscall/constants.ts";
import { type Pinned, pinForever } from "../syscall/mem.ts";

export const SCM_RIGHTS = 1;

/*
 * struct msghdr {                          struct iovec { 0 void *iov_base; 8 size_t iov_len; };  16 bytes
 *    0 void *msg_name;                     struct cmsghdr { 0 size_t cmsg_len; 8 int cmsg_level; 12 int cmsg_type; };
 *    8 socklen_t msg_namelen;              16 bytes, data after it, the next one at a multiple of 8
 *   16 struct iovec *msg_iov;
 *   24 size_t msg_iovlen;
 *   32 void *msg_control;
 *   40 size_t msg_controllen;
 *   48 int msg_flags;  56 bytes in all
 * };
 */
export const CMSG_HEADER = 16;
// Large enough for 253 descriptors, credentials, a pidfd and a security label, with their headers.
export const control = pinForever(4096);
const iovec = pinForever(16);
export const header = pinForever(56);

/** Fills the header for a buffer of `size` bytes at `address`, and `controlSize` bytes of control data. */
export function prepare(address: number, size: number, controlSize: number): void {
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

/** Sets the destination of the message, after `prepare()`. */
export function addressTo(to: Pinned): void {
  setPointer(header, 0, to.address);
  header.view.setUint32(8, to.size, true);
}

/** Writes a 64-bit value below 2^53 as two halves, which is cheaper than a BigInt. */
function setPointer(at: Pinned, offset: number, value: number): void {
  at.view.setUint32(offset, value >>> 0, true);
  at.view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}

/** Writes descriptors as control data; returns its size in bytes. */
export function writeRights(numbers: readonly number[]): number {
  if (numbers.length === 0) return 0;
  const length = CMSG_HEADER + 4 * numbers.length;
  setPointer(control, 0, length);
  control.view.setInt32(8, SOL_SOCKET, true);
  control.view.setInt32(12, SCM_RIGHTS, true);
  for (const [index, number] of numbers.entries()) control.view.setInt32(CMSG_HEADER + 4 * index, number, true);
  return align(length);
}

/** Rounds up to a multiple of 8, at which the next control message begins. */
export function align(length: number): number {
  return (length + 7) & ~7;
}
