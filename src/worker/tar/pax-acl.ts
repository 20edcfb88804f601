// Converts access control lists between the text in archives ("user:1000:rw-", star's "user:name:rw-:1000") and Linux's
// attributes system.posix_acl_access and system.posix_acl_default. See acl(5), linux/posix_acl_xattr.h.
import { damaged } from "../stream/feed.ts";

/** struct posix_acl_xattr_header { __le32 a_version; } and entries { __le16 e_tag; __le16 e_perm; __le32 e_id; } */
const VERSION = 2;
const ENTRY_SIZE = 8;
const NO_ID = 0xffff_ffff;

/** The kinds of entries; Linux requires entries in the order of these numbers. */
const TAGS = {
  owner: 0x01,
  user: 0x02,
  owningGroup: 0x04,
  group: 0x08,
  mask: 0x10,
  other: 0x20,
} as const;

/** The tags of each keyword: without and with a named user or group. */
const KINDS: Readonly<Record<string, readonly [unnamed: number, named: number | null]>> = {
  user: [TAGS.owner, TAGS.user],
  u: [TAGS.owner, TAGS.user],
  group: [TAGS.owningGroup, TAGS.group],
  g: [TAGS.owningGroup, TAGS.group],
  mask: [TAGS.mask, null],
  m: [TAGS.mask, null],
  other: [TAGS.other, null],
  o: [TAGS.other, null],
};

const LIMIT = 1024;

interface AclEntry {
  readonly tag: number;
  readonly permissions: number;
  readonly id: number;
}

/** Lookup of user and group ids by name; null for unknown names. */
export interface AclNames {
  user(name: string): number | null;
  group(name: string): number | null;
}

interface AclPolicy {
  readonly names?: AclNames;
  /** Converts ids, where not all of them can be kept. */
  readonly mapId?: ((id: number) => number) | undefined;
}

/**
 * Converts an archive's text to the value of Linux's attribute. Returns null where the text has a name without an id
 * that `names` does not know: the names of this host do not apply. Throws EBADMSG for an invalid list.
 */
export function encodeAcl(text: string, policy: AclPolicy = {}): Buffer | null {
  const entries: AclEntry[] = [];
  for (const part of text.split(/[,\n]/)) {
    const line = part.replace(/#.*/, "").trim();
    if (line === "") continue;
    const entry = parseEntry(line, policy);
    if (entry === null) return null;
    entries.push(entry);
    if (entries.length > LIMIT) throw damaged("access control list of more than 1024 entries");
  }
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id);
  const value = Buffer.alloc(4 + entries.length * ENTRY_SIZE);
  value.writeUInt32LE(VERSION);
  entries.forEach(({ tag, permissions, id }, index) => {
    const at = 4 + index * ENTRY_SIZE;
    value.writeUInt16LE(tag, at);
    value.writeUInt16LE(permissions, at + 2);
    value.writeUInt32LE(id, at + 4);
  });
  return value;
}

function parseEntry(line: string, { names, mapId }: AclPolicy): AclEntry | null {
  const [kind = "", who = "", bits = "", number] = line.split(":");
  const tags = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  // "other:r--" and "mask:r--" are short for "other::r--" and "mask::r--".
  const shortened = tags?.[1] === null && bits === "" && number === undefined;
  const [name, letters] = shortened ? ["", who] : [who, bits];
  if (tags === undefined || !/^[r-][w-][x-]$/.test(letters)) throw damaged("bad access control list");
  const permissions = (letters[0] === "r" ? 4 : 0) | (letters[1] === "w" ? 2 : 0) | (letters[2] === "x" ? 1 : 0);
  if (name === "") return { tag: tags[0], permissions, id: NO_ID };
  if (tags[1] === null) throw damaged("bad access control list");
  const given = number ?? name;
  const id = /^\d{1,10}$/.test(given) ? Number(given) : names?.[tags[1] === TAGS.user ? "user" : "group"](name);
  if (id === null || id === undefined) return null;
  if (id >= NO_ID) throw damaged("bad access control list");
  return { tag: tags[1], permissions, id: mapId?.(id) ?? id };
}

const NAMES: Readonly<Record<number, string>> = {
  [TAGS.owner]: "user",
  [TAGS.user]: "user",
  [TAGS.owningGroup]: "group",
  [TAGS.group]: "group",
  [TAGS.mask]: "mask",
  [TAGS.other]: "other",
};

/** Converts the value of Linux's attribute to an archive's text; returns null for an unknown format. */
export function decodeAcl(value: Buffer): string | null {
  if (value.length < 4 || (value.length - 4) % ENTRY_SIZE !== 0 || value.readUInt32LE() !== VERSION) return null;
  const lines: string[] = [];
  for (let at = 4; at < value.length; at += ENTRY_SIZE) {
    const tag = value.readUInt16LE(at);
    const permissions = value.readUInt16LE(at + 2);
    const kind = NAMES[tag];
    if (kind === undefined) return null;
    const id = tag === TAGS.user || tag === TAGS.group ? String(value.readUInt32LE(at + 4)) : "";
    const letters = `${permissions & 4 ? "r" : "-"}${permissions & 2 ? "w" : "-"}${permissions & 1 ? "x" : "-"}`;
    lines.push(`${kind}:${id}:${letters}`);
  }
  return lines.join(",");
}
