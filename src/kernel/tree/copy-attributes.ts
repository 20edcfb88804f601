// Copies extended attributes, ACLs and file capabilities included: xattr(7). Attributes that the target's file system
// does not support, or not in that size, or that we may not set are omitted.
import { attributeNames, getAttribute, isNotKept, setAttribute } from "../file/attributes.ts";
import type { Fd } from "../file/fd.ts";
import { ENODATA, EOPNOTSUPP } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";
import { attributeFor, type OwnerPolicy } from "./owner-policy.ts";
import { type RawName, rawAddress } from "./tree.ts";

/**
 * Copies the attributes of `source` to `target`, transformed by `policy`. Both may be O_PATH descriptors. Must be
 * called after the owner was set, because a change of owner removes some attributes.
 */
export function copyAttributesAs(source: Fd, target: Fd, policy: OwnerPolicy): void {
  for (const name of attributeNames(source)) {
    const value = getAttribute(source, name);
    const wanted = value === null ? null : attributeFor(name, value, policy);
    if (wanted !== null) setIfPossible(target, name, wanted);
  }
}

function setIfPossible(target: Fd, name: string, value: Uint8Array): void {
  try {
    setAttribute(target, name, value);
  } catch (error) {
    if (!(error instanceof SyscallError) || !isNotKept(-error.errno, target)) throw error;
  }
}

const NAMES_BYTES = 64 << 10;
const nameList = pinForever(NAMES_BYTES);
const valueBytes = pinForever(NAMES_BYTES);

/**
 * A descriptor and the calls for its extended attributes: those on open files, or, for O_PATH, those on its path in
 * /proc.
 */
interface Handle {
  readonly calls: readonly ["flistxattr", "fgetxattr", "fsetxattr"] | readonly ["listxattr", "getxattr", "setxattr"];
  readonly fd: Fd;
}

const OPENED = ["flistxattr", "fgetxattr", "fsetxattr"] as const;
const NAMED = ["listxattr", "getxattr", "setxattr"] as const;

function subject({ calls, fd }: Handle): number {
  return calls === OPENED ? fd.number : rawAddress(`/proc/self/fd/${fd.number}`);
}

/**
 * Copies all extended attributes, including ACLs and file capabilities; to be called after the owner was set, which
 * removes those. `opened`: the descriptors are open files, not O_PATH. Returns the names of attributes that could not
 * be set.
 */
export function copyAttributes(source: Fd, target: Fd, opened: boolean): string[] {
  const calls = opened ? OPENED : NAMED;
  const [from, to] = [
    { calls, fd: source },
    { calls, fd: target },
  ];
  const size = trySys(calls[0], subject(from), nameList, NAMES_BYTES);
  if (size === 0 || size === EOPNOTSUPP) return [];
  const names = nameList.bytes.toString("latin1", 0, check(size, "listxattr")).split("\0").slice(0, -1);
  return names.filter((name) => !copyAttribute(from, to, name));
}

function copyAttribute(from: Handle, to: Handle, name: RawName): boolean {
  const size = trySys(from.calls[1], subject(from), rawAddress(name), valueBytes, NAMES_BYTES);
  if (size === ENODATA) return true;
  check(size, "getxattr", name);
  const result = trySys(to.calls[2], subject(to), rawAddress(name), valueBytes, size, 0);
  if (result < 0 && !isNotKept(result, to.fd)) check(result, "setxattr", name);
  return result >= 0;
}
