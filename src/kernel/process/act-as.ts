// Making files as another user without giving up privileges: setfsuid(2), capset(2).

import { pinForever } from "../syscall/mem.ts";
import { check, sys, trySys } from "../syscall/sys.ts";
import type { Identity } from "./namespace.ts";

const LINUX_CAPABILITY_VERSION_3 = 0x2008_0522;
/** setfsuid(2) with this id changes nothing and returns the id in force. */
const ASK = 0xffff_ffff;

// struct { u32 version; int pid; }, and twice struct { u32 effective, permitted, inheritable; }
const header = pinForever(8);
const sets = pinForever(24);

/**
 * From now on this thread reaches files as `identity`, and files it makes belong to it; it may do to files what it could
 * before. For workers that end afterwards. Where ids of ours have no meaning (a file system mounted with other ids) nobody
 * else can make files. `EPERM` when we may not.
 */
export function makeFilesAs({ uid, gid }: Identity): void {
  sys("setfsgid", gid);
  sys("setfsuid", uid);
  const isDone = trySys("setfsuid", ASK) === uid && trySys("setfsgid", ASK) === gid;
  if (!isDone) check(-1, "setfsuid", String(uid));
  takeBackCapabilities();
}

/** The kernel drops those over files with the identity; they may be taken up again. */
function takeBackCapabilities(): void {
  header.view.setUint32(0, LINUX_CAPABILITY_VERSION_3, true);
  header.view.setInt32(4, 0, true);
  check(trySys("capget", header, sets), "capget");
  for (const at of [0, 12]) sets.view.setUint32(at, sets.view.getUint32(at + 4, true), true);
  check(trySys("capset", header, sets), "capset");
}
