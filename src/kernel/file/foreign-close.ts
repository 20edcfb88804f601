// Closing descriptors that other processes sent. close(2) may wait for somebody: a socket that lingers for its peer
// (SO_LINGER in socket(7)), a file of FUSE for its server, a unix socket for whatever is still on its way through it.
// None of them may stop a daemon that serves others: such descriptors are closed on another thread, one after the other.
import { close, readlinkSync } from "node:fs";
import { AF_UNIX, AT_EMPTY_PATH, AT_STATX_DONT_SYNC, SOL_SOCKET, STATX_BASIC_STATS } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { trySys } from "../syscall/sys.ts";

/** So many that wait to be closed are enough, where the one before them takes longer than this: then no more are taken. */
const WAITING_LIMIT = 256;
const PATIENCE_MS = 250;
const SO_LINGER = 13;
const SO_DOMAIN = 39;
/** Of devices: memory (null, zero, random), terminals, and their pairs. */
const PLAIN_DEVICES: readonly number[] = [1, 4, 5, 136, 137, 138, 139, 140, 141, 142, 143];
/** What the kernel itself made, and nobody is asked about. */
const OF_THE_KERNEL = /^(?:pidfd:|anon_inode:\[(?:pidfd|eventfd)\])/;

// struct linger { int l_onoff; int l_linger; }
const noLinger = pinForever(8);
const domain = pinForever(4);
const length = pinForever(4);

// struct statx { ... 28 __u16 stx_mode; ... 128 __u32 stx_rdev_major; ... }
const status = pinForever(256);
const here = pinForever(1);

const waiting: number[] = [];
/** When closing the present one began, ms; null while there is none. */
let since: number | null = null;

/** Closes the descriptor `number`, which another process sent, without waiting. It must not be used any more. */
export function closeForeign(number: number): void {
  if (isHarmless(number)) trySys("close", number);
  else {
    waiting.push(number);
    if (since === null) closeNext();
  }
}

/** Whether so many descriptors of others wait to be closed that no further ones may be taken. */
export function isCongested(): boolean {
  return waiting.length >= WAITING_LIMIT && since !== null && performance.now() - since > PATIENCE_MS;
}

/** The address family of a socket (AF_UNIX is 1), negative for what is none. */
export function socketDomain(number: number): number {
  length.view.setUint32(0, domain.size, true);
  const result = trySys("getsockopt", number, SOL_SOCKET, SO_DOMAIN, domain, length);
  return result < 0 ? result : domain.view.getInt32(0, true);
}

/** Whether close(2) returns at once. A file system is not asked: it is what may not answer. */
function isHarmless(number: number): boolean {
  if (trySys("setsockopt", number, SOL_SOCKET, SO_LINGER, noLinger, noLinger.size) === 0) {
    return socketDomain(number) !== AF_UNIX;
  }
  const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (trySys("statx", number, here, flags, STATX_BASIC_STATS, status) === 0) {
    const type = status.view.getUint16(28, true) >> 12;
    const [FIFO, CHARACTER] = [1, 2];
    if (type === FIFO) return true;
    if (type === CHARACTER) return PLAIN_DEVICES.includes(status.view.getUint32(128, true));
  }
  try {
    return OF_THE_KERNEL.test(readlinkSync(`/proc/self/fd/${number}`));
  } catch {
    return false;
  }
}

function closeNext(): void {
  const number = waiting.shift();
  since = number === undefined ? null : performance.now();
  if (number !== undefined) close(number, closeNext);
}
