// Owner, permissions, attributes and times of what has been unpacked, in the order that keeps all of them: a change of
// owner takes away setuid and capabilities, permissions set anew would rewrite an access control list.
import { ErrnoError } from "../base/error.ts";
import type { Fd } from "../kernel/fd.ts";
import { changeOwner } from "../kernel/ownership.ts";
import { check, isErrno } from "../kernel/sys.ts";
import { type RawName, textOf } from "../kernel/tree.ts";
import { log } from "./import-log.ts";
import type { PaxTime } from "./pax.ts";
import { encodeAcl } from "./pax-acl.ts";
import type { TarEntry } from "./tar-entry.ts";
import {
  changeEntryMode,
  changeEntryOwner,
  changeMode,
  setEntryTime,
  setFileTime,
  trySetAttribute,
  trySetEntryAttribute,
} from "./untar-calls.ts";

export interface Metadata {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly time: PaxTime;
  readonly attributes: readonly Attribute[];
}

type Attribute = readonly [name: string, value: Buffer];

const SPECIAL_BITS = 0o7000;
const ACL_ACCESS = "system.posix_acl_access";
const ACL_DEFAULT = "system.posix_acl_default";
const NONE: readonly Attribute[] = [];

export interface MetadataPolicy {
  /** What becomes of owners, where not every number may be kept. */
  readonly mapId?: (id: number) => number;
  /** Attributes that are left out. */
  readonly dropAttribute?: (name: string) => boolean;
  /** Somebody else warns of what cannot be kept. */
  readonly isQuiet?: boolean;
}

export class MetadataWriter {
  readonly #policy: MetadataPolicy;
  readonly #ownUid = process.geteuid?.() ?? 0;
  readonly #ownGid = process.getegid?.() ?? 0;
  readonly #warned = new Set<string>();

  constructor(policy: MetadataPolicy) {
    this.#policy = policy;
  }

  /** What an entry says of the file it stands for. */
  of(entry: TarEntry): Metadata {
    const { mapId } = this.#policy;
    return {
      mode: entry.mode,
      uid: mapId?.(entry.uid) ?? entry.uid,
      gid: mapId?.(entry.gid) ?? entry.gid,
      time: entry.time,
      attributes: this.#attributesOf(entry),
    };
  }

  #attributesOf({ path, attributes, acl }: TarEntry): readonly Attribute[] {
    if (attributes === null && acl.access === null && acl.fallback === null) return NONE;
    const drop = this.#policy.dropAttribute;
    const all: Attribute[] = [...(attributes ?? [])].filter(([name]) => drop?.(name) !== true);
    for (const [name, text] of [
      [ACL_ACCESS, acl.access],
      [ACL_DEFAULT, acl.fallback],
    ] as const) {
      const value = text === null || text === "" ? null : encodeAcl(text);
      if (value !== null) all.push([name, value]);
      else if (text)
        this.#warn("acl", `Access control list of '${textOf(path)}' names users without numbers, leaving it out.`);
    }
    return all;
  }

  /** Finishes a regular file or directory that is open, and was made with the permission bits of its entry. */
  finishFile(file: Fd, metadata: Metadata, made: "with-mode" | "private"): void {
    const { uid, gid, mode, attributes, time } = metadata;
    this.#giveTo({ uid, gid }, () => changeOwner(file, uid, gid));
    if (made === "private" || (mode & SPECIAL_BITS) !== 0) changeMode(file, mode);
    for (const [name, value] of attributes) this.#settle(trySetAttribute(file, name, value), name);
    setFileTime(file, time.seconds, time.nanoseconds);
  }

  /** Finishes a link, node or fifo by its name. */
  finishEntry(parent: Fd, name: RawName, metadata: Metadata, isLink: boolean): void {
    const { uid, gid, mode, attributes, time } = metadata;
    this.#giveTo({ uid, gid }, () => changeEntryOwner(parent, name, uid, gid));
    if (!isLink && (mode & SPECIAL_BITS) !== 0) changeEntryMode(parent, name, mode);
    for (const [key, value] of attributes) this.#settle(trySetEntryAttribute(parent, name, key, value), key);
    setEntryTime(parent, name, time.seconds, time.nanoseconds);
  }

  #giveTo({ uid, gid }: Pick<Metadata, "uid" | "gid">, give: () => void): void {
    if (uid === this.#ownUid && gid === this.#ownGid) return;
    try {
      give();
    } catch (error) {
      if (this.#ownUid === 0 || !isErrno(error, "EPERM")) throw error;
      const text = `Archive has files of user ${uid} and group ${gid}, and only root can make files of others here`;
      throw new ErrnoError("EPERM", text, { cause: error });
    }
  }

  #settle(result: number, name: string): void {
    if (result >= 0) return;
    const isLabel = name.startsWith("security.") && name !== "security.capability";
    const isUnsupported = result === EOPNOTSUPP;
    const isForbidden = result === EPERM && (isLabel || name.startsWith("trusted.") || name.startsWith("user."));
    if (!isUnsupported && !isForbidden) check(result, "setxattr", name);
    this.#warn(name, `Extended attribute '${name}' cannot be kept here, leaving it out.`);
  }

  #warn(key: string, message: string): void {
    if (this.#policy.isQuiet || this.#warned.has(key) || this.#warned.size > WARNINGS_LIMIT) return;
    this.#warned.add(key);
    log("warning", message);
  }
}

const EPERM = -1;
const EOPNOTSUPP = -95;
const WARNINGS_LIMIT = 20;
