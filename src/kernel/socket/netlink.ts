// Reads addresses and neighbours of a network namespace through a netlink socket in it: rtnetlink(7).
import type { Fd } from "../file/fd.ts";
import { socketInNetworkOf } from "../process/namespace.ts";
import type { PidRef } from "../process/pidref.ts";
import { AF_NETLINK, EAGAIN, EINTR, ENOBUFS, MSG_DONTWAIT, MSG_TRUNC } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { POLLIN, pollOne } from "../syscall/poll.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";

export interface LocalAddress {
  /** AF_INET or AF_INET6. */
  readonly family: 2 | 10;
  /** 4 or 16 bytes in network order. */
  readonly bytes: Buffer;
  readonly ifindex: number;
  /** 0: global, 253: link, 254: host. */
  readonly scope: number;
  /** IFA_F_ bits: 0x20 deprecated, 0x40 tentative, 0x80 permanent. */
  readonly flags: number;
  readonly prefixLength: number;
  readonly label?: string;
}

/** An entry of the neighbour table: an IP address and its link-layer address. */
interface Neighbour {
  readonly family: 2 | 10;
  readonly bytes: Buffer;
  readonly ifindex: number;
  readonly linkAddress: Buffer | null;
  /** NUD_ bits: 0x02 reachable, 0x04 stale, 0x20 failed, 0x80 permanent. */
  readonly state: number;
}

const SOCK_RAW = 3;
const NETLINK_ROUTE = 0;
const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;
const NLM_F_REQUEST_DUMP = 0x301;
const NLM_F_DUMP_INTR = 0x10;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const RTMGRP_IPV4_IFADDR = 0x10;
const RTMGRP_IPV6_IFADDR = 0x100;

/** How often a table is read that changes while it is read (NLM_F_DUMP_INTR). */
const MAX_DUMPS = 8;
/** The time limit of a dump, because a machine can fill its tables to any size, and the dump blocks this process. */
const DUMP_LIMIT_MS = 500;
const ADDRESSES_MAX = 4096;
const NEIGHBOURS_MAX = 16_384;
/** How many announcements `hasChanged()` reads at most; further ones are read the next time. */
const ANNOUNCEMENTS_MAX = 64;

// struct nlmsghdr { 0 u32 len; 4 u16 type; 6 u16 flags; 8 u32 seq; 12 u32 pid; }  16 bytes
const HEADER = 16;
// struct sockaddr_nl { 0 u16 family; 2 u16 pad; 4 u32 pid; 8 u32 groups; }        12 bytes
const sender = pinForever(12);
const senderSize = pinForever(4);
const request = pinForever(32);
const answer = pinForever(64 * 1024);
let sequence = 0;

/** Opens a socket for `dumpAddresses()` and `dumpNeighbours()` in the network namespace of `process` (null: ours). */
export function openAddressSocket(process: PidRef | null): Fd {
  return socketInNetworkOf(process, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

/**
 * Opens a socket that becomes readable when an address of the network is added or removed: watch it, and call
 * `hasChanged()`.
 */
export function openAddressEvents(process: PidRef | null): Fd {
  const socket = openAddressSocket(process);
  sender.bytes.fill(0);
  sender.view.setUint16(0, AF_NETLINK, true);
  sender.view.setUint32(8, RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR, true);
  const result = trySys("bind", socket.number, sender, sender.size);
  if (result < 0) socket.close();
  check(result, "bind");
  return socket;
}

/** Returns whether there were announcements since the last call; lost ones count. */
export function hasChanged(events: Fd): boolean {
  let changed = false;
  for (let count = 0; count < ANNOUNCEMENTS_MAX; count++) {
    const size = trySys("recvfrom", events.number, answer, answer.size, MSG_DONTWAIT, 0, 0);
    if (size === EAGAIN) return changed;
    if (size !== ENOBUFS) check(size, "recvfrom");
    changed = true;
  }
  return changed;
}

/**
 * Returns all addresses of the interfaces in the socket's network, in the kernel's order. Throws as `collect()` does,
 * and `EBUSY`.
 */
export function dumpAddresses(socket: Fd): LocalAddress[] {
  return dump(socket, { type: RTM_GETADDR, bodySize: 8, wanted: RTM_NEWADDR, most: ADDRESSES_MAX, read: readAddress });
}

/**
 * Returns the neighbour table of the socket's network: link-layer addresses of other hosts, for example virtual
 * machines.
 */
export function dumpNeighbours(socket: Fd): Neighbour[] {
  return dump(socket, {
    type: RTM_GETNEIGH,
    bodySize: 12,
    wanted: RTM_NEWNEIGH,
    most: NEIGHBOURS_MAX,
    read: readNeighbour,
  });
}

interface DumpRequest<T> {
  readonly type: number;
  readonly bodySize: number;
  /** The message type of the rows in the reply, their limit, and the parser of one. */
  readonly wanted: number;
  readonly most: number;
  readonly read: (at: number, end: number) => T | null;
}

/** Requests a table and reads it, again where it changed meanwhile. Throws `EBUSY` where it keeps changing. */
function dump<T>(socket: Fd, dumpRequest: DumpRequest<T>): T[] {
  const { type, bodySize } = dumpRequest;
  const deadline = performance.now() + DUMP_LIMIT_MS;
  for (let tries = 0; tries < MAX_DUMPS; tries++) {
    sequence = (sequence % 0xffffffff) + 1;
    const { view } = request;
    request.bytes.fill(0);
    view.setUint32(0, HEADER + bodySize, true);
    view.setUint16(4, type, true);
    view.setUint16(6, NLM_F_REQUEST_DUMP, true);
    view.setUint32(8, sequence, true);
    check(trySys("sendto", socket.number, request, HEADER + bodySize, 0, 0, 0), "sendto");
    const rows: T[] = [];
    if (collect(socket, deadline, dumpRequest, rows)) return rows;
    if (performance.now() > deadline) break;
  }
  throw new SyscallError("netlink", "EBUSY");
}

/**
 * Reads one reply to its end into `rows`; returns false where the table changed meanwhile. Throws `ENOBUFS` for more
 * rows than `most`, `ETIMEDOUT` where a part of the reply has not come at `deadline`.
 */
function collect<T>(socket: Fd, deadline: number, { wanted, most, read }: DumpRequest<T>, rows: T[]): boolean {
  let consistent = true;
  for (;;) {
    const size = receive(socket, deadline);
    let length = 0;
    for (let at = 0; at + HEADER <= size; at += (length + 3) & ~3) {
      length = answer.view.getUint32(at, true);
      if (length < HEADER || at + length > size) throw new SyscallError("netlink", "EBADMSG");
      const type = answer.view.getUint16(at + 4, true);
      if (answer.view.getUint32(at + 8, true) !== sequence) continue; // left from an earlier dump that was given up
      if ((answer.view.getUint16(at + 6, true) & NLM_F_DUMP_INTR) !== 0) consistent = false;
      if (type === NLMSG_DONE) return consistent;
      if (type === NLMSG_ERROR) check(answer.view.getInt32(at + HEADER, true), "netlink");
      const row = type === wanted ? read(at + HEADER, at + length) : null;
      if (row !== null) rows.push(row);
      if (rows.length > most) throw new SyscallError("netlink", "ENOBUFS");
    }
  }
}

/**
 * Receives the kernel's next packet; returns its size. Packets of other senders in the same network are dropped. The
 * deadline is for packets that do not come: on a busy host, time passes in which this process does not run, or in which
 * the kernel waits for its own locks.
 */
function receive(socket: Fd, deadline: number): number {
  for (;;) {
    senderSize.view.setUint32(0, sender.size, true);
    const size = trySys("recvfrom", socket.number, answer, answer.size, MSG_DONTWAIT | MSG_TRUNC, sender, senderSize);
    if (size !== EAGAIN) check(size, "recvfrom");
    if (size === EAGAIN || sender.view.getUint32(4, true) !== 0) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new SyscallError("netlink", "ETIMEDOUT");
      if (size === EAGAIN) waitForAnswer(socket, leftMs);
      continue;
    }
    if (size > answer.size) throw new SyscallError("netlink", "EMSGSIZE");
    return size;
  }
}

/** Blocks until the socket is readable or a signal arrives; throws `ETIMEDOUT`. The kernel mostly replies at once. */
function waitForAnswer(socket: Fd, limitMs: number): void {
  const count = pollOne(socket.number, POLLIN, limitMs);
  // After a signal, the caller looks again and waits for the time that is left.
  if (count !== EINTR && check(count, "ppoll") === 0) throw new SyscallError("netlink", "ETIMEDOUT");
}

/** Returns attributes by type: struct rtattr { u16 rta_len; u16 rta_type; } and its data, each at a multiple of 4. */
function readAttributes(from: number, end: number): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  let length = 0;
  for (let at = from; at + 4 <= end; at += (length + 3) & ~3) {
    length = answer.view.getUint16(at, true);
    if (length < 4 || at + length > end) break;
    attributes.set(
      answer.view.getUint16(at + 2, true) & 0x3fff,
      Buffer.from(answer.bytes.subarray(at + 4, at + length)),
    );
  }
  return attributes;
}

function familyOf(number: number): 2 | 10 | null {
  return number === 2 || number === 10 ? number : null;
}

/** struct ifaddrmsg { u8 family; u8 prefixlen; u8 flags; u8 scope; u32 index; } */
function readAddress(at: number, end: number): LocalAddress | null {
  const [IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_FLAGS] = [1, 2, 3, 8];
  const { view } = answer;
  const family = familyOf(view.getUint8(at));
  const attributes = readAttributes(at + 8, end);
  // On a point-to-point link IFA_ADDRESS is the peer's address.
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (family === null || bytes === undefined) return null;
  const label = attributes.get(IFA_LABEL)?.toString().replace(/\0+$/, "");
  const address = {
    family,
    bytes,
    ifindex: view.getUint32(at + 4, true),
    scope: view.getUint8(at + 3),
    flags: attributes.get(IFA_FLAGS)?.readUInt32LE(0) ?? view.getUint8(at + 2),
    prefixLength: view.getUint8(at + 1),
  };
  return label === undefined ? address : { ...address, label };
}

/** struct ndmsg { u8 family; u8 pad; u16 pad; s32 ifindex; u16 state; u8 flags; u8 type; } */
function readNeighbour(at: number, end: number): Neighbour | null {
  const [NDA_DST, NDA_LLADDR] = [1, 2];
  const { view } = answer;
  const family = familyOf(view.getUint8(at));
  const attributes = readAttributes(at + 12, end);
  const bytes = attributes.get(NDA_DST);
  if (family === null || bytes === undefined) return null;
  const linkAddress = attributes.get(NDA_LLADDR) ?? null;
  return { family, bytes, ifindex: view.getInt32(at + 4, true), linkAddress, state: view.getUint16(at + 8, true) };
}
