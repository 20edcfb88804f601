// Makes files as another user without giving up privileges: setfsuid(2), capset(2).
import { pinForever } from "../syscall/mem.ts";
import { check, sys, trySys } from "../syscall/sys.ts";
import type { Identity } from "./namespace.ts";

const LINUX_CAPABILITY_VERSION_3 = 0x2008_0522;
/** setfsuid(2) with this invalid id changes nothing and returns the current id. */
const ASK = 0xffff_ffff;

// struct { u32 version; int pid; }, and twice struct { u32 effective, permitted, inheritable; }
const header = pinForever(8);
const sets = pinForever(24);

/**
 * From now on this thread accesses files as `identity`, which owns the files that it makes; its capabilities over files
 * are kept. Only for workers, because it is not undone. Needed where our own ids are not mapped (ID-mapped mounts): the
 * kernel refuses to make files there otherwise. Throws `EPERM` where the ids may not be changed.
 */
export function makeFilesAs({ uid, gid }: Identity): void {
  sys("setfsgid", gid);
  sys("setfsuid", uid);
  const isDone = trySys("setfsuid", ASK) === uid && trySys("setfsgid", ASK) === gid;
  if (!isDone) check(-1, "setfsuid", String(uid));
  restoreCapabilities();
}

/** setfsuid(2) drops the effective capabilities over files; they are still permitted, and set again here. */
function restoreCapabilities(): void {
  header.view.setUint32(0, LINUX_CAPABILITY_VERSION_3, true);
  header.view.setInt32(4, 0, true);
  check(trySys("capget", header, sets), "capget");
  for (const at of [0, 12]) sets.view.setUint32(at, sets.view.getUint32(at + 4, true), true);
  check(trySys("capset", header, sets), "capset");
}
