// Closes descriptors that other processes sent. close(2) may block: a socket waits for its peer, a file of FUSE or NFS
// for its server. That must neither block the daemon nor delay the closing of others. So descriptors that cannot block
// are closed at once; sockets in a child process; other files each by a process that shares our table of descriptors.

import { inNextTurn } from "../../base/next-turn.ts";
import { readLinkAt } from "../file/fd.ts";
import { AT_EMPTY_PATH, AT_STATX_DONT_SYNC, F_GET_SEALS, STATX_BASIC_STATS } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { trySys } from "../syscall/sys.ts";
import { closeApart } from "./close-apart.ts";

/** When a child takes longer, further sockets are closed by another child. */
const PATIENCE_MS = 250;
const CHILD_LIMIT = 16;
/** How many files are being closed at once; further ones wait, open. */
const FILE_LIMIT = 256;
/** The interval at which is asked which files are closed. */
const FILE_CHECK_MS = 100;
/**
 * Major numbers of devices that close(2) does not block on: memory (null, zero, random), consoles, terminals, pseudo
 * terminals.
 */
const PLAIN_DEVICES: readonly number[] = [1, 4, 5, 136, 137, 138, 139, 140, 141, 142, 143];
/** Link targets of kernel objects without a file system, which close(2) does not block on. */
const KERNEL_OBJECT = /^(?:pidfd:|anon_inode:\[(?:pidfd|eventfd)\])/;
/**
 * From this size on, in blocks of 512 bytes, a file counts as large: closing a deleted large file takes long, because
 * it frees it.
 */
const LARGE_BLOCKS = (64 << 20) / 512;
const HANDLE_BTRFS = 0x4d;

// struct statx { ... 28 __u16 stx_mode; ... 48 __u64 stx_blocks; ... 128 __u32 stx_rdev_major; ...
//   136 __u32 stx_dev_major; ... }
const status = pinForever(256);
const here = pinForever(1);
// struct file_handle { __u32 handle_bytes; int handle_type; unsigned char f_handle[128]; }
const handle = pinForever(136);
const mountId = pinForever(4);

/** Files that wait. */
const files: number[] = [];
/** For each file that is being closed, a function that returns whether it is closed. */
let closing: (() => boolean)[] = [];
let isCheckPlanned = false;
const sockets: number[] = [];
let children = 0;
/** When the last child was started, ms. */
let childSince = 0;
let isPlanned = false;

/** Closes the descriptor `number`, which another process sent, without blocking. It must not be used any more. */
export function closeForeign(number: number): void {
  const kind = kindOf(number);
  if (kind === "harmless") trySys("close", number);
  else if (kind === "file") addFile(number);
  else {
    sockets.push(number);
    plan();
  }
}

/**
 * Returns how to close a descriptor. Uses only the kernel's caches (AT_STATX_DONT_SYNC), because the file system may
 * not answer.
 */
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
    return KERNEL_OBJECT.test(readLinkAt(null, `/proc/self/fd/${number}`)) ? "harmless" : "file";
  } catch {
    // Unknown: treated as the kind whose closing may block.
    return "file";
  }
}

/**
 * Whether close(2) of the device does not block. A serial port, which shares the major number of consoles, waits for
 * its output.
 */
function isPlainDevice(): boolean {
  const [CONSOLES, FIRST_SERIAL] = [4, 64];
  const [major, minor] = [status.view.getUint32(128, true), status.view.getUint32(132, true)];
  return PLAIN_DEVICES.includes(major) && (major !== CONSOLES || minor < FIRST_SERIAL);
}

/**
 * Whether a regular file, with its status in `status`, is small and on a local file system: on a disk, btrfs, or in
 * memory.
 */
function isLocal(number: number): boolean {
  if (status.view.getBigUint64(48, true) > LARGE_BLOCKS) return false;
  if (status.view.getUint32(136, true) !== 0 || trySys("fcntl", number, F_GET_SEALS, 0) >= 0) return true;
  handle.view.setUint32(0, handle.size - 8, true);
  const result = trySys("name_to_handle_at", number, here, handle, mountId, AT_EMPTY_PATH);
  return result === 0 && handle.view.getInt32(4, true) === HANDLE_BTRFS;
}

function addFile(number: number): void {
  files.push(number);
  closeFiles();
}

function closeFiles(): void {
  closing = closing.filter((isClosed) => !isClosed());
  for (const number of files.splice(0)) {
    const isClosed = closing.length < FILE_LIMIT ? (closeApart(number) ?? closeOnThread(number)) : null;
    if (isClosed === null) files.push(number);
    else closing.push(isClosed);
  }
  if (isCheckPlanned || closing.length === 0) return;
  isCheckPlanned = true;
  setTimeout(() => {
    isCheckPlanned = false;
    closeFiles();
  }, FILE_CHECK_MS).unref();
}

/** Closes a file on the engine's thread for files, where no process could be started; null while that has another. */
function closeOnThread(number: number): (() => boolean) | null {
  if (closing.length > 0) return null;
  let isClosed = false;
  process.getBuiltinModule("node:fs").close(number, () => {
    isClosed = true;
  });
  return () => isClosed;
}

/** Plans the closing of sockets for the end of the turn, so that all sockets of one message go to one child. */
function plan(): void {
  if (isPlanned || sockets.length === 0) return;
  isPlanned = true;
  inNextTurn(() => {
    isPlanned = false;
    void closeSockets();
  });
}

/** Starts a child for waiting sockets, unless one runs for less than PATIENCE_MS or CHILD_LIMIT children run. */
async function closeSockets(): Promise<void> {
  // Imported on demand: only daemons receive sockets.
  const { closeInChild, SOCKETS_PER_CHILD } = await import("./close-in-child.ts");
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
