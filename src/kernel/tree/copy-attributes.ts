// Extended attributes of a copy, ACLs and file capabilities among them: xattr(7). What the target's file system does not
// take, and what we may not set there, is left out: the rest of the file counts more.
import type { Fd } from "../file/fd.ts";
import { EINVAL, ENODATA, EOPNOTSUPP, EPERM } from "../syscall/constants.ts";
import { pin, pinForever } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import { attributeFor, type OwnerPolicy } from "./owner-policy.ts";
import { rawAddress } from "./tree.ts";

const XATTR_MAX = 64 << 10;
const names = pinForever(XATTR_MAX);
const value = pinForever(XATTR_MAX);

/** Files that are only named (O_PATH) have a path in /proc by which their attributes are reached. */
function pathOf(fd: Fd): string {
  return `/proc/self/fd/${fd.number}`;
}

/** Gives `target` the attributes of `source` as `policy` wants them. After its owner: a change of that takes some away. */
export function copyAttributesAs(source: Fd, target: Fd, policy: OwnerPolicy): void {
  const size = trySys("listxattr", rawAddress(pathOf(source)), names, XATTR_MAX);
  if (size === 0 || size === EOPNOTSUPP) return;
  const list = names.bytes.toString("latin1", 0, check(size, "listxattr")).split("\0").slice(0, -1);
  for (const name of list) copyOne(source, target, name, policy);
}

function copyOne(source: Fd, target: Fd, name: string, policy: OwnerPolicy): void {
  const size = trySys("getxattr", rawAddress(pathOf(source)), rawAddress(name), value, XATTR_MAX);
  if (size === ENODATA || size === EOPNOTSUPP) return;
  const wanted = attributeFor(name, value.bytes.subarray(0, check(size, "getxattr", name)), policy);
  if (wanted === null) return;
  const given = pin(wanted.length);
  given.bytes.set(wanted);
  const result = trySys("setxattr", rawAddress(pathOf(target)), rawAddress(name), given, given.size, 0);
  if (result !== EOPNOTSUPP && result !== EPERM && result !== EINVAL) check(result, "setxattr", name);
}
