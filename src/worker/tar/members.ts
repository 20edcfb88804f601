// Writes members of a tar archive with all metadata of their files, in chunks of one size. Further names of a file
// become hard links to its first name.

import { readSync } from "node:fs";
import { attributeNames, getAttribute } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { ENXIO, SEEK_DATA, SEEK_HOLE } from "../../kernel/syscall/constants.ts";
import { trySys } from "../../kernel/syscall/sys.ts";
import { LinkTable } from "../../kernel/tree/link-table.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { type RawName, readLinkIn, textOf } from "../../kernel/tree/tree.ts";
import { log } from "../program/log.ts";
import { namingFile } from "./naming-file.ts";
import { paxAttributeKey } from "./pax.ts";
import { decodeAcl } from "./pax-acl.ts";
import type { SparsePiece } from "./sparse.ts";
import { EMPTY_MEMBER, END_MARK, type MemberHeader, memberHeader, padding } from "./writer.ts";

const CHUNK = 1 << 20;
const TYPES: Readonly<Record<string, MemberHeader["type"]>> = {
  regular: "0",
  symlink: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};

/** Extended attributes that archives store under another key, as text. */
const ACL_KEYS: Readonly<Record<string, string>> = {
  "system.posix_acl_access": "SCHILY.acl.access",
  "system.posix_acl_default": "SCHILY.acl.default",
};

/** How members differ from their files. */
export interface MemberPolicy {
  /** Returns whether an attribute is omitted. */
  readonly dropAttribute?: (name: string) => boolean;
  /** Whether ACLs are also written as plain attributes, for readers that do not know the keys for ACLs. */
  readonly aclsTwice?: boolean;
}

export class MemberWriter implements Disposable {
  /** The status of the next file: the caller must read it before each call of `directory()` or `file()`. */
  readonly status = new RawStatus();
  readonly #policy: MemberPolicy;
  /** Files with several names, with the name that they have in the archive. */
  readonly #linked = new LinkTable(null);
  #chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK);
  #used = 0;

  constructor(policy: MemberPolicy) {
    this.#policy = policy;
  }

  [Symbol.dispose](): void {
    this.#linked[Symbol.dispose]();
  }

  /** Returns whether an archive can contain a file of that kind. */
  static canHold(kind: string): boolean {
    return TYPES[kind] !== undefined;
  }

  /** Writes a directory; `path` must end in a slash. */
  *directory(file: Fd, path: RawName): Generator<Buffer> {
    yield* this.put(this.directoryHeader(file, path));
  }

  /** Returns what `directory()` writes, for a later `put()`. */
  directoryHeader(file: Fd, path: RawName): Buffer {
    return this.#header(file, path, { type: "5" });
  }

  /** Writes a file that is not a directory; a hard link where the file was written under another name. */
  *file(file: Fd, path: RawName): Generator<Buffer> {
    if (!(yield* this.#linkAgain(file, path))) yield* this.#first(file, path);
  }

  /** Writes an empty regular file that is not in the tree, such as a whiteout. */
  *marker(path: RawName): Generator<Buffer> {
    yield* this.put(memberHeader({ ...EMPTY_MEMBER, path }));
  }

  /** Writes the end mark, and yields the last chunk. */
  *end(): Generator<Buffer> {
    yield* this.put(END_MARK);
    yield this.#chunk.subarray(0, this.#used);
  }

  /** Writes a hard link where the file is in the archive already; otherwise remembers its name and returns false. */
  *#linkAgain(file: Fd, path: RawName): Generator<Buffer, boolean> {
    if (this.status.links < 2) return false;
    const first = this.#linked.find(this.status);
    if (first === null) {
      this.#linked.add(this.status, { path, note: "" });
      return false;
    }
    yield* this.#member(file, path, { type: "1", target: first.path });
    return true;
  }

  *#first(file: Fd, path: RawName): Generator<Buffer> {
    const type = TYPES[this.status.kind];
    if (type === "2") {
      const target = namingFile(path, () => readLinkIn(file, ""));
      return target === null ? undefined : yield* this.#member(file, path, { type, target });
    }
    if (type === undefined) return;
    if (type !== "0") return yield* this.#member(file, path, { type });
    const { size, allocatedBytes } = this.status;
    const pieces = allocatedBytes < size ? dataPieces(file, size) : null;
    if (pieces !== null) return yield* this.#sparse(file, path, size, pieces);
    yield* this.#member(file, path, { type, size });
    noteMissing(path, yield* this.#data(file, path, 0, size));
    yield* this.put(padding(size));
  }

  /** Writes a sparse file in GNU's format 1.0, with the map in front of the data. */
  *#sparse(file: Fd, path: RawName, size: number, pieces: readonly SparsePiece[]): Generator<Buffer> {
    const lines = [pieces.length, ...pieces.flatMap(({ offset, length }) => [offset, length])];
    const text = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    const map = Buffer.concat([text, padding(text.length)]);
    const stored = pieces.reduce((sum, { length }) => sum + length, map.length);
    const records: [string, Buffer][] = [
      ["GNU.sparse.major", Buffer.from("1")],
      ["GNU.sparse.minor", Buffer.from("0")],
      ["GNU.sparse.name", Buffer.from(path, "latin1")],
      ["GNU.sparse.realsize", Buffer.from(String(size))],
    ];
    yield* this.#member(file, path, { type: "0", size: stored, records });
    yield* this.put(map);
    let missing = 0;
    for (const { offset, length } of pieces) missing += yield* this.#data(file, path, offset, length);
    noteMissing(path, missing);
    yield* this.put(padding(stored));
  }

  *#member(file: Fd, path: RawName, what: Partial<MemberHeader>): Generator<Buffer> {
    yield* this.put(this.#header(file, path, what));
  }

  /** Returns the header of the file of `status`, with its extended headers. */
  #header(file: Fd, path: RawName, what: Partial<MemberHeader>): Buffer {
    const { memory, mode, uid, gid } = this.status;
    const isDevice = what.type === "3" || what.type === "4";
    const attributes = what.type === "1" ? [] : namingFile(path, () => attributeRecords(file, this.#policy));
    const records = [...attributes, ...(what.records ?? [])];
    return memberHeader({
      path,
      type: what.type ?? "0",
      mode: mode & 0o7777,
      uid,
      gid,
      size: what.size ?? 0,
      seconds: memory.view.getBigInt64(112, true),
      nanoseconds: memory.view.getUint32(120, true),
      target: what.target ?? "",
      major: isDevice ? memory.view.getUint32(128, true) : 0,
      minor: isDevice ? memory.view.getUint32(132, true) : 0,
      records,
    });
  }

  /**
   * Reads file data directly into chunks. Fills with zeros what is missing where the file was truncated meanwhile, and
   * returns its length in bytes.
   */
  *#data(file: Fd, path: RawName, offset: number, length: number): Generator<Buffer, number> {
    let missing = 0;
    for (let done = 0; done < length; ) {
      if (this.#used === CHUNK) yield this.#full();
      const room = Math.min(CHUNK - this.#used, length - done);
      const [chunk, used, position] = [this.#chunk, this.#used, offset + done];
      const count = namingFile(path, () => readSync(file.number, chunk, used, room, position));
      if (count === 0) {
        this.#chunk.fill(0, this.#used, this.#used + room);
        missing += room;
      }
      this.#used += count || room;
      done += count || room;
    }
    return missing;
  }

  /** Appends bytes to the current chunk; yields chunks that are full. */
  *put(bytes: Buffer): Generator<Buffer> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#used === CHUNK) yield this.#full();
      const count = bytes.copy(this.#chunk, this.#used, at);
      this.#used += count;
      at += count;
    }
  }

  /** Returns the full chunk, and begins a new one. */
  #full(): Buffer {
    const full = this.#chunk;
    this.#chunk = Buffer.allocUnsafeSlow(CHUNK);
    this.#used = 0;
    return full;
  }
}

/** Warns of a file that was truncated while it was read; once, whatever its size was. */
function noteMissing(path: RawName, bytes: number): void {
  if (bytes > 0)
    log("warning", `File '${textOf(path)}' shrank while it was read: ${bytes} bytes are filled with zeros.`);
}

function attributeRecords(file: Fd, { dropAttribute, aclsTwice }: MemberPolicy): [string, Buffer][] {
  // Sorted, because the order of file systems differs.
  return attributeNames(file)
    .sort()
    .flatMap((name): [string, Buffer][] => {
      if (dropAttribute?.(name) === true) return [];
      const value = getAttribute(file, name);
      if (value === null) return [];
      const key = ACL_KEYS[name];
      const text = key === undefined ? null : decodeAcl(value);
      const plain: [string, Buffer] = [paxAttributeKey(name), value];
      if (key === undefined || text === null) return [plain];
      return [[key, Buffer.from(text)], ...(aclsTwice === true ? [plain] : [])];
    });
}

const PIECES_LIMIT = 250_000;

/**
 * Returns the pieces of a file that have data; null where the file system does not support that, or there are no holes.
 */
function dataPieces(file: Fd, size: number): SparsePiece[] | null {
  const pieces: SparsePiece[] = [];
  for (let at = 0; at < size; ) {
    const offset = trySys("lseek", file.number, at, SEEK_DATA);
    if (offset === ENXIO) break;
    const end = offset < 0 ? offset : Math.min(trySys("lseek", file.number, offset, SEEK_HOLE), size);
    if (end < 0) return null;
    // Readers limit the number of pieces: the rest of the file becomes one piece, its holes as zeros.
    const isLast = pieces.length === PIECES_LIMIT;
    if (offset < size) pieces.push({ offset, length: (isLast ? size : end) - offset });
    at = isLast ? size : end;
  }
  if (pieces.length === 1 && pieces[0]?.length === size) return null;
  // GNU tar expects an empty piece at the end of the file.
  return [...pieces, { offset: size, length: 0 }];
}
