// The owner of files that are copied between this host and a machine with a user namespace, and the conversion of ids
// and privileges in their attributes: ACLs and file capabilities (acl(5), capabilities(7)).
import type { Identity } from "../process/namespace.ts";

/** How a copy changes ownership. */
export interface OwnerPolicy {
  /** The owner of the whole copy; null: that of each original. */
  readonly owner: Identity | null;
  /** The number that is added to user and group ids in ACLs. */
  readonly shift: number;
  /**
   * Whether set-user-ID and set-group-ID bits and file capabilities are removed, as by chown(2). For copies from a
   * machine to this host's root: the machine must not be able to make privileged programs of the host.
   */
  readonly dropsPrivileges: boolean;
}

/** Owners, ids and privileges are unchanged. */
export const KEEP_OWNERS: OwnerPolicy = { owner: null, shift: 0, dropsPrivileges: false };

const SET_IDS = 0o6000;
const REGULAR = 0o100000;
const KIND_BITS = 0o170000;

/**
 * Returns the permissions of the copy of a file with this mode. Directories keep set-group-ID, which new files inherit.
 */
export function permissionsFor(mode: number, policy: OwnerPolicy): number {
  const bits = mode & 0o7777;
  return policy.dropsPrivileges && (mode & KIND_BITS) === REGULAR ? bits & ~SET_IDS : bits;
}

/** Returns the value of an attribute in the copy; null where the copy must not have it. */
export function attributeFor(name: string, value: Buffer, policy: OwnerPolicy): Buffer | null {
  if (policy.owner === null) return value;
  if (name.startsWith("system.posix_acl_")) return shiftAcl(value, policy.shift);
  if (name === "security.capability") return policy.dropsPrivileges ? null : ownCapabilities(value, policy.owner.uid);
  if (policy.dropsPrivileges && name.startsWith("trusted.")) return null;
  return value;
}

const ACL_HEADER = 4;
const ACL_ENTRY = 8;
const ACL_USER = 0x02;
const ACL_GROUP = 0x08;
const ID_END = 0xffff_ffff;

/**
 * Shifts the ids in an ACL: struct { le32 version; struct { le16 tag, perm; le32 id; } entries[]; }. Omits entries
 * whose ids become invalid.
 */
function shiftAcl(value: Buffer, shift: number): Buffer {
  const parts = [value.subarray(0, ACL_HEADER)];
  for (let at = ACL_HEADER; at + ACL_ENTRY <= value.length; at += ACL_ENTRY) {
    const entry = Buffer.from(value.subarray(at, at + ACL_ENTRY));
    const tag = entry.readUInt16LE(0);
    if (tag === ACL_USER || tag === ACL_GROUP) {
      const id = entry.readUInt32LE(4) + shift;
      if (id < 0 || id >= ID_END) continue;
      entry.writeUInt32LE(id, 4);
    }
    parts.push(entry);
  }
  return Buffer.concat(parts);
}

const CAPABILITY_REVISION_2 = 0x0200_0000;
const CAPABILITY_REVISION_3 = 0x0300_0000;
const REVISION_BITS = 0xff00_0000;
const CAPABILITY_SIZE = 20;

/**
 * Binds file capabilities to the user namespace of `root`: struct { le32 magic; le32 data[4]; le32 rootid; } of
 * revision 3.
 */
function ownCapabilities(value: Buffer, root: number): Buffer | null {
  const magic = value.length >= CAPABILITY_SIZE ? value.readUInt32LE(0) : 0;
  if ((magic & REVISION_BITS) >>> 0 < CAPABILITY_REVISION_2) return null;
  const own = Buffer.alloc(CAPABILITY_SIZE + 4);
  value.copy(own, 0, 0, CAPABILITY_SIZE);
  own.writeUInt32LE(((magic & ~REVISION_BITS) | CAPABILITY_REVISION_3) >>> 0, 0);
  own.writeUInt32LE(root, CAPABILITY_SIZE);
  return own;
}
