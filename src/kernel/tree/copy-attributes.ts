// Copies extended attributes, ACLs and file capabilities included, with a policy for owners: xattr(7). Attributes that the
// target's file system does not support or that we may not set are omitted.
import { attributeNames, getAttribute, setAttribute } from "../file/attributes.ts";
import type { Fd } from "../file/fd.ts";
import { isErrno } from "../syscall/sys.ts";
import { attributeFor, type OwnerPolicy } from "./owner-policy.ts";

/**
 * Copies the attributes of `source` to `target`, transformed by `policy`. Both may be O_PATH descriptors. Must be called after
 * the owner was set, because a change of owner removes some attributes.
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
    if (!isErrno(error, "EOPNOTSUPP", "EPERM", "EINVAL")) throw error;
  }
}
