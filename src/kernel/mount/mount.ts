// Mounts as descriptors: cloned, configured and attached. See open_tree(2), move_mount(2), mount_setattr(2), setns(2).
import { Fd } from "../file/fd.ts";
import { openNamespace } from "../process/namespace.ts";
import type { PidRef } from "../process/pidref.ts";
import { AT_EMPTY_PATH, AT_RECURSIVE, O_CLOEXEC } from "../syscall/constants.ts";
import { pinForever, scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import { moveToMountNamespace } from "./mount-namespace.ts";

const OPEN_TREE_CLONE = 0x1;
const OPEN_TREE_CLOEXEC = O_CLOEXEC;
const MOVE_MOUNT_F_EMPTY_PATH = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH = 0x40;
const MNT_DETACH = 0x2;
const UMOUNT_NOFOLLOW = 0x8;

/** Whether a call applies to one mount, or also to the mounts below it. */
type Extent = "one" | "recursive";

/** Restrictions of a mount, with their bits of mount_setattr(2). */
const ATTRIBUTES = { readOnly: 0x1, noSuid: 0x2, noDevices: 0x4, noExec: 0x8, noSymlinkFollow: 0x200000 } as const;
const PROPAGATIONS = { shared: 1 << 20, private: 1 << 18, slave: 1 << 19 } as const;

interface MountAttributes extends Partial<Record<keyof typeof ATTRIBUTES, boolean>> {
  readonly propagation?: keyof typeof PROPAGATIONS;
}

/** Returns a detached bind mount of `file` (opened with mode "path"). */
export function cloneMount(file: Fd, extent: Extent): Fd {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (extent === "recursive" ? AT_RECURSIVE : 0);
  return Fd.adopt(check(trySys("open_tree", file.number, scratchString(""), flags), "open_tree"));
}

/** Attaches a detached mount at `target` (opened with mode "path"). */
export function attachMount(mount: Fd, target: Fd): void {
  const flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  check(trySys("move_mount", mount.number, scratchString(""), target.number, scratchString(""), flags), "move_mount");
}

// struct mount_attr { 0 u64 attr_set; 8 u64 attr_clr; 16 u64 propagation; 24 u64 userns_fd; }
const attributes = pinForever(32);

/** Sets (true) and clears (false) restrictions of a mount, and sets its propagation; absent fields are unchanged. */
export function setMountAttributes(mount: Fd, wanted: MountAttributes, extent: Extent): void {
  attributes.bytes.fill(0);
  let set = 0;
  let clear = 0;
  for (const name of Object.keys(ATTRIBUTES) as (keyof typeof ATTRIBUTES)[]) {
    if (wanted[name] === true) set |= ATTRIBUTES[name];
    if (wanted[name] === false) clear |= ATTRIBUTES[name];
  }
  attributes.view.setUint32(0, set, true);
  attributes.view.setUint32(8, clear, true);
  if (wanted.propagation !== undefined) attributes.view.setUint32(16, PROPAGATIONS[wanted.propagation], true);
  const flags = AT_EMPTY_PATH | (extent === "recursive" ? AT_RECURSIVE : 0);
  const result = trySys("mount_setattr", mount.number, scratchString(""), flags, attributes, attributes.size);
  check(result, "mount_setattr");
}

/** Unmounts `path`, without following a symbolic link; `"lazy"` detaches it even if it is in use (MNT_DETACH). */
export function unmount(path: string, when: "now" | "lazy" = "now"): void {
  const flags = UMOUNT_NOFOLLOW | (when === "lazy" ? MNT_DETACH : 0);
  check(trySys("umount2", scratchString(path), flags), "umount", path);
}

/**
 * Moves this thread into the mount namespace of a process, as moveToMountNamespace() does. Throws `ESRCH` where the
 * process has ended.
 */
export function enterMountNamespace(process: PidRef): void {
  using namespace = process.verified(() => openNamespace(process.pid, "mnt"));
  moveToMountNamespace(namespace);
}
