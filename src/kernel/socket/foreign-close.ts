// Closing descriptors that other processes sent. close(2) may wait for somebody: a socket for its peer, a file of FUSE or NFS
// for its server. None of them may stop a daemon that serves others, and none may keep another's from being closed: what cannot
// wait is closed at once, sockets in a child, and files of such file systems on another thread, one after the other.
import { close, readlinkSync } from "node:fs";
import { AT_EMPTY_PATH, AT_STATX_DONT_SYNC, F_GET_SEALS, STATX_BASIC_STATS } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { trySys } from "../syscall/sys.ts";
import { closeInChild, SOCKETS_PER_CHILD } from "./close-in-child.ts";

/** A child that takes longer is left alone, and another one started. */
const PATIENCE_MS = 250;
const CHILD_LIMIT = 16;
/** Of devices: memory (null, zero, random), terminals, and their pairs. */
const PLAIN_DEVICES: readonly number[] = [1, 4, 5, 136, 137, 138, 139, 140, 141, 142, 143];
/** What the kernel itself made, and nobody is asked about. */
const OF_THE_KERNEL = /^(?:pidfd:|anon_inode:\[(?:pidfd|eventfd)\])/;
/** Closing a deleted file removes it, which takes long for a large one. In blocks of 512 bytes. */
const LARGE_BLOCKS = (64 << 20) / 512;
const HANDLE_BTRFS = 0x4d;

// struct statx { ... 28 __u16 stx_mode; ... 48 __u64 stx_blocks; ... 128 __u32 stx_rdev_major; ... 136 __u32 stx_dev_major; ... }
const status = pinForever(256);
const here = pinForever(1);
// struct file_handle { __u32 handle_bytes; int handle_type; unsigned char f_handle[128]; }
const handle = pinForever(136);
const mountId = pinForever(4);

const files: number[] = [];
let isClosingFile = false;
const sockets: number[] = [];
let children = 0;
/** When the last child was started, ms. */
let childSince = 0;
let isPlanned = false;

/** Closes the descriptor `number`, which another process sent, without waiting. It must not be used any more. */
export function closeForeign(number: number): void {
  const kind = kindOf(number);
  if (kind === "harmless") trySys("close", number);
  else if (kind === "file") addFile(number);
  else {
    sockets.push(number);
    plan();
  }
}

/** How close(2) behaves. Nothing is asked that a file system would have to answer: it is what may not answer. */
function kindOf(number: number): "harmless" | "socket" | "file" {
  const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (trySys("statx", number, here, flags, STATX_BASIC_STATS, status) !== 0) return "file";
  const type = status.view.getUint16(28, true) >> 12;
  const [FIFO, CHARACTER, REGULAR, SOCKET] = [1, 2, 8, 12];
  if (type === SOCKET) return "socket";
  if (type === FIFO) return "harmless";
  if (type === CHARACTER) return isPlainDevice() ? "harmless" : "file";
  if (type === REGULAR) return isLocal(number) ? "harmless" : "file";
  try {
    return OF_THE_KERNEL.test(readlinkSync(`/proc/self/fd/${number}`)) ? "harmless" : "file";
  } catch {
    return "file";
  }
}

/** A serial port, which has the number of consoles as well, waits until its output is sent. */
function isPlainDevice(): boolean {
  const [CONSOLES, FIRST_SERIAL] = [4, 64];
  const [major, minor] = [status.view.getUint32(128, true), status.view.getUint32(132, true)];
  return PLAIN_DEVICES.includes(major) && (major !== CONSOLES || minor < FIRST_SERIAL);
}

/** Whether a regular file, as `status` describes it, is closed by this kernel alone: on a disk, on btrfs, or in memory; and is small. */
function isLocal(number: number): boolean {
  if (status.view.getBigUint64(48, true) > LARGE_BLOCKS) return false;
  if (status.view.getUint32(136, true) !== 0 || trySys("fcntl", number, F_GET_SEALS, 0) >= 0) return true;
  handle.view.setUint32(0, handle.size - 8, true);
  const result = trySys("name_to_handle_at", number, here, handle, mountId, AT_EMPTY_PATH);
  return result === 0 && handle.view.getInt32(4, true) === HANDLE_BTRFS;
}

function addFile(number: number): void {
  files.push(number);
  if (!isClosingFile) closeNextFile();
}

function closeNextFile(): void {
  const next = files.shift();
  isClosingFile = next !== undefined;
  if (next !== undefined) close(next, closeNextFile);
}

/** At the end of the turn, so that all sockets of one message go to one child. */
function plan(): void {
  if (isPlanned || sockets.length === 0) return;
  isPlanned = true;
  setImmediate(() => {
    isPlanned = false;
    closeSockets();
  });
}

/** One child at a time, and another when that takes long. */
function closeSockets(): void {
  const now = performance.now();
  if (children >= CHILD_LIMIT || sockets.length === 0) return;
  if (children > 0 && now - childSince < PATIENCE_MS) return;
  const batch = sockets.splice(0, SOCKETS_PER_CHILD);
  children++;
  childSince = now;
  setTimeout(plan, PATIENCE_MS).unref();
  const { left, gone } = closeInChild(batch);
  for (const number of left) addFile(number);
  gone.then(() => {
    children--;
    plan();
  });
}
