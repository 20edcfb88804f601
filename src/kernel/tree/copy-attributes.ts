// Extended attributes of a copy, ACLs and file capabilities among them: xattr(7). What the target's file system does not
// take, and what we may not set there, is left out: the rest of the file counts more.
import { attributeNames, getAttribute, setAttribute } from "../file/attributes.ts";
import type { Fd } from "../file/fd.ts";
import { isErrno } from "../syscall/sys.ts";
import { attributeFor, type OwnerPolicy } from "./owner-policy.ts";

/**
 * Sets the attributes of `source` on `target`, changed as `policy` wants them. Both may be O_PATH descriptors. To be called
 * after the owner was set: a change of owner removes some attributes.
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
