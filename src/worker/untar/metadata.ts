// Sets owner, permissions, attributes and times of unpacked files, in this order, because a change of owner clears
// setuid and capabilities, and a change of permissions modifies an ACL. Owners are always set, so that neither the
// unpacking user nor a set-group-ID directory determines them.
import { ErrnoError } from "../../base/error.ts";
import { attributeNames, isNotKept, removeAttribute } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { changeMode, changeOwner } from "../../kernel/file/ownership.ts";
import { E2BIG } from "../../kernel/syscall/constants.ts";
import { check, isErrno } from "../../kernel/syscall/sys.ts";
import type { RawName } from "../../kernel/tree/tree.ts";
import type { TarEntry } from "../tar/entry.ts";
import type { PaxTime } from "../tar/pax.ts";
import { encodeAcl } from "../tar/pax-acl.ts";
import type { NamedAcl } from "./acl.ts";
import {
  changeEntryMode,
  changeEntryOwner,
  setEntryTime,
  setFileTime,
  trySetAttribute,
  trySetEntryAttribute,
} from "./calls.ts";
import { attributeLoss, Losses } from "./losses.ts";
import type { DirectoryMetadata } from "./pending.ts";

/** The metadata of an archive's entry, as it is to be set. */
interface Metadata {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly time: PaxTime;
  readonly attributes: readonly Attribute[];
  readonly accessAcl: Buffer | null;
  readonly defaultAcl: Buffer | null;
  /** ACLs with names that have to be resolved by the archive's own passwd and group files (acl.ts). */
  readonly namedAcls: readonly NamedAcl[];
}

type Attribute = readonly [name: string, value: Buffer];

const SPECIAL_BITS = 0o7000;
const ACL_ACCESS = "system.posix_acl_access";
const ACL_DEFAULT = "system.posix_acl_default";
const NONE: readonly never[] = [];
const PLAIN = { attributes: NONE, accessAcl: null, defaultAcl: null, namedAcls: NONE };

export interface MetadataPolicy {
  /** Converts user and group ids, where not all of them may be kept. */
  readonly mapId?: (id: number) => number;
  /** Returns whether an attribute of the archive is omitted. */
  readonly dropAttribute?: (name: string) => boolean;
  /** Returns whether an attribute of an existing directory is kept when a later member replaces its metadata. */
  readonly keepAttribute?: (name: string) => boolean;
  /** Whether nothing is logged, because another unpacking of the same archive logs it. */
  readonly isQuiet?: boolean;
}

/** Sets metadata; counts in `losses` what cannot be set. */
export class MetadataWriter {
  readonly #policy: MetadataPolicy;
  readonly #ownUid = process.geteuid?.() ?? 0;
  readonly #ownGid = process.getegid?.() ?? 0;
  readonly losses = new Losses();

  constructor(policy: MetadataPolicy) {
    this.#policy = policy;
  }

  mapId(id: number): number {
    return this.#policy.mapId?.(id) ?? id;
  }

  /** Returns the metadata to set for an entry, after the policy. */
  of(entry: TarEntry): Metadata {
    const { mode, time } = entry;
    const owner = { uid: this.mapId(entry.uid), gid: this.mapId(entry.gid) };
    const { attributes, acl } = entry;
    if (attributes === null && !acl.access && !acl.fallback) return { mode, time, ...owner, ...PLAIN };
    const drop = this.#policy.dropAttribute;
    const kept = [...(attributes ?? [])].filter(([name]) => drop?.(name) !== true);
    const namedAcls: NamedAcl[] = [];
    const listOf = (attribute: string, text: string | null): Buffer | null => {
      // Some programs write an ACL as text and as attribute; both have the same meaning.
      if (!text) return this.#listIn(attributes, attribute, entry.path);
      const value = encodeAcl(text, { mapId: this.#policy.mapId });
      if (value === null) namedAcls.push({ attribute, text });
      return value;
    };
    return {
      mode,
      time,
      ...owner,
      attributes: kept.filter(([name]) => name !== ACL_ACCESS && name !== ACL_DEFAULT),
      accessAcl: listOf(ACL_ACCESS, acl.access),
      defaultAcl: listOf(ACL_DEFAULT, acl.fallback),
      namedAcls,
    };
  }

  /** Returns an ACL that the archive has as an attribute. */
  #listIn(attributes: TarEntry["attributes"], attribute: string, path: RawName): Buffer | null {
    const value = attributes?.get(attribute) ?? null;
    if (value === null || value.length <= ACL_MAX) return value;
    this.losses.note(attributeLoss(attribute, -E2BIG), path);
    return null;
  }

  /** Returns the metadata for a parent directory that has no member of its own. */
  implied(mode: number): DirectoryMetadata {
    const owner = { uid: this.#ownUid, gid: this.#ownGid };
    return { mode, ...owner, time: null, accessAcl: null, defaultAcl: null, wasThere: false };
  }

  /** Sets the metadata of an open regular file, which was made with the permission bits of its entry. */
  finishFile(file: Fd, path: RawName, metadata: Metadata): void {
    const { uid, gid, mode, time } = metadata;
    this.#giveTo(metadata, () => changeOwner(file, uid, gid));
    if ((mode & SPECIAL_BITS) !== 0) changeMode(file, mode);
    this.setAttributes(file, path, metadata.attributes);
    this.#setAcls(file, path, metadata);
    setFileTime(file, time.seconds, time.nanoseconds);
  }

  /** Sets the metadata of a directory whose content is complete, except attributes, which are set already. */
  finishDirectory(directory: Fd, path: RawName, metadata: DirectoryMetadata): void {
    const { uid, gid, mode, time } = metadata;
    if (metadata.wasThere) for (const name of [ACL_ACCESS, ACL_DEFAULT]) dropAcl(directory, name);
    this.#giveTo(metadata, () => changeOwner(directory, uid, gid));
    changeMode(directory, mode);
    this.#setAcls(directory, path, metadata);
    if (time !== null) setFileTime(directory, time.seconds, time.nanoseconds);
  }

  /** Sets the metadata of a link, node or fifo, by its name. */
  finishEntry(parent: Fd, name: RawName, path: RawName, metadata: Metadata, isLink: boolean): void {
    const { uid, gid, mode, attributes, accessAcl, time } = metadata;
    this.#giveTo(metadata, () => changeEntryOwner(parent, name, uid, gid));
    if (!isLink && (mode & SPECIAL_BITS) !== 0) changeEntryMode(parent, name, mode);
    const set = (key: string, value: Buffer) => {
      this.settle(trySetEntryAttribute(parent, name, key, value), key, path, parent);
    };
    for (const [key, value] of attributes) set(key, value);
    if (accessAcl !== null) set(ACL_ACCESS, accessAcl);
    setEntryTime(parent, name, time.seconds, time.nanoseconds);
  }

  setAttributes(file: Fd, path: RawName, attributes: readonly Attribute[]): void {
    for (const [name, value] of attributes) this.setAttribute(file, path, name, value);
  }

  setAttribute(file: Fd, path: RawName, name: string, value: Buffer): void {
    this.settle(trySetAttribute(file, name, value), name, path, file);
  }

  #setAcls(file: Fd, path: RawName, acls: Pick<Metadata, "accessAcl" | "defaultAcl">): void {
    if (acls.accessAcl !== null) this.setAttribute(file, path, ACL_ACCESS, acls.accessAcl);
    if (acls.defaultAcl !== null) this.setAttribute(file, path, ACL_DEFAULT, acls.defaultAcl);
  }

  /** Removes the attributes of an existing directory, before those of a later member are set. */
  clearAttributes(directory: Fd): void {
    for (const name of attributeNames(directory)) {
      if (FROM_ARCHIVE.test(name) && this.#policy.keepAttribute?.(name) !== true) removeAttribute(directory, name);
    }
  }

  /** Calls `give`, which changes an owner; explains EPERM where we are not root. */
  #giveTo({ uid, gid }: Pick<Metadata, "uid" | "gid">, give: () => void): void {
    try {
      give();
    } catch (error) {
      if (this.#ownUid === 0 || !isErrno(error, "EPERM")) throw error;
      const text = `Archive has files of user ${uid} and group ${gid}, and only root can make files of other users here`;
      throw new ErrnoError("EPERM", text, { cause: error });
    }
  }

  /** Counts a loss where the result says that the attribute cannot be stored; throws other errors. */
  settle(result: number, name: string, path: RawName, place: Fd): void {
    if (result >= 0) return;
    if (!isNotKept(result, place)) check(result, "setxattr", name);
    this.losses.note(attributeLoss(name, -result), path);
  }
}

/** Attributes that come from archives; others, such as SELinux labels, come from the host's policy. */
const FROM_ARCHIVE = /^(user|trusted)\.|^security\.capability$|^system\.posix_acl_/;
/** The size of an ACL of 1024 entries. */
const ACL_MAX = 8196;

function dropAcl(directory: Fd, name: string): void {
  try {
    removeAttribute(directory, name);
  } catch (error) {
    if (!isErrno(error, "EOPNOTSUPP", "ENOSYS")) throw error;
  }
}
