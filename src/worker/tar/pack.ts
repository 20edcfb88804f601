// Writes a tree as a tar archive: everything that the tree's file system stores of it, ordered by names alone. It stays on one
// mount. Sockets, which archives cannot hold, are left out and logged; entries that are removed meanwhile are left out.
import { readSync } from "node:fs";
import { attributeNames, getAttribute } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { ENXIO, SEEK_DATA, SEEK_HOLE } from "../../kernel/syscall/constants.ts";
import { isErrno, SyscallError, trySys } from "../../kernel/syscall/sys.ts";
import { reopenForReading } from "../../kernel/tree/own-file.ts";
import { LinkTable } from "../../kernel/tree/spill.ts";
import {
  DirectoryChain,
  openDirectory,
  openEntry,
  openForReading,
  type RawEntry,
  type RawName,
  RawStatus,
  readLinkIn,
  textOf,
  WALK_DEPTH_LIMIT,
} from "../../kernel/tree/tree.ts";
import { log } from "../program/log.ts";
import { Listing } from "./listing.ts";
import { paxAttributeKey } from "./pax.ts";
import { decodeAcl } from "./pax-acl.ts";
import type { SparsePiece } from "./sparse.ts";
import { END_MARK, type MemberHeader, memberHeader, padding } from "./writer.ts";

const CHUNK = 1 << 20;
const TYPES: Readonly<Record<string, MemberHeader["type"]>> = {
  regular: "0",
  symlink: "2",
  character: "3",
  block: "4",
  directory: "5",
  fifo: "6",
};
const SOCKETS_NAMED = 20;

/** Extended attributes that archives hold under another name, as text. */
const ACL_KEYS: Readonly<Record<string, string>> = {
  "system.posix_acl_access": "SCHILY.acl.access",
  "system.posix_acl_default": "SCHILY.acl.default",
};

/** Returns the archive of the directory `top`, in chunks that are not changed afterwards. */
export function* tarChunks(top: Fd): Generator<Buffer> {
  using walk = new TarWalk(top);
  yield* walk.chunks();
}

class TarWalk implements Disposable {
  readonly #status = new RawStatus();
  readonly #chain: DirectoryChain;
  readonly #mountId: bigint;
  /** Files of several names, and under which one they are in the archive. */
  readonly #linked = new LinkTable(null);
  #chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK);
  #used = 0;
  #sockets = 0;
  readonly #pending: Listing[] = [];

  constructor(top: Fd) {
    this.#mountId = this.#status.readFd(top).mountId;
    this.#chain = new DirectoryChain(openDirectory(top, "."), new RawStatus());
  }

  [Symbol.dispose](): void {
    for (const listing of this.#pending) listing[Symbol.dispose]();
    this.#chain[Symbol.dispose]();
    this.#linked[Symbol.dispose]();
  }

  *chunks(): Generator<Buffer> {
    const pending = this.#pending;
    pending.push(new Listing(this.#chain.current));
    yield* this.#member(this.#chain.current, "./", { type: "5" });
    for (;;) {
      const entry = pending.at(-1)?.next();
      if (entry !== undefined) {
        if (yield* this.#entry(entry)) pending.push(new Listing(this.#chain.current));
        continue;
      }
      if (this.#chain.depth === 0) break;
      this.#chain.leave();
      pending.pop()?.[Symbol.dispose]();
    }
    if (this.#sockets > SOCKETS_NAMED)
      log("warning", `${this.#sockets} sockets are left out, no archive can hold any.`);
    yield* this.#put(END_MARK);
    yield this.#chunk.subarray(0, this.#used);
  }

  #pathOf(name: RawName): RawName {
    return [`./${this.#chain.path.join("/")}`, name].join(this.#chain.depth === 0 ? "" : "/");
  }

  /** Writes one entry; true when it is a directory, which the chain has entered now. */
  *#entry({ name, kind }: RawEntry): Generator<Buffer, boolean> {
    const parent = this.#chain.current;
    const opened = this.#open(parent, name, kind);
    if (opened === null) return false;
    const { kind: found, mountId, identity } = this.#status.readFd(opened);
    const type = TYPES[found];
    if (found === "directory" && mountId === this.#mountId) {
      if (this.#chain.depth >= WALK_DEPTH_LIMIT) {
        opened.close();
        throw new SyscallError("open", "ENAMETOOLONG", textOf(name));
      }
      // The chain owns it from here.
      yield* this.#member(opened, `${this.#pathOf(name)}/`, { type: "5" });
      this.#chain.enter(name, opened, identity);
      return true;
    }
    using file = opened;
    if (type === undefined) {
      this.#noteSocket(this.#pathOf(name));
      return false;
    }
    if (type === "5") yield* this.#member(file, `${this.#pathOf(name)}/`, { type });
    else if (!(yield* this.#linkAgain(file, this.#pathOf(name)))) yield* this.#file(file, name, type);
    return false;
  }

  /** Returns null when it was removed meanwhile: a tree in use changes. */
  #open(parent: Fd, name: RawName, kind: RawEntry["kind"]): Fd | null {
    try {
      const known = kind ?? this.#status.readEntry(parent, name).kind;
      return known === "regular" || known === "directory" ? openForReading(parent, name) : openEntry(parent, name);
    } catch (error) {
      if (isErrno(error, "EACCES")) return this.#openOwn(parent, name);
      if (isErrno(error, "ENOENT", "ELOOP", "ENXIO")) return null;
      throw error;
    }
  }

  #openOwn(parent: Fd, name: RawName): Fd {
    using named = openEntry(parent, name);
    return reopenForReading(named);
  }

  #noteSocket(path: RawName): void {
    if (++this.#sockets <= SOCKETS_NAMED)
      log("warning", `Socket '${textOf(path)}' is left out, no archive can hold it.`);
  }

  /** Writes a further name of a file that is in the archive already. */
  *#linkAgain(file: Fd, path: RawName): Generator<Buffer, boolean> {
    if (this.#status.links < 2) return false;
    const first = this.#linked.find(this.#status);
    if (first === null) {
      this.#linked.add(this.#status, { path, note: "" });
      return false;
    }
    yield* this.#member(file, path, { type: "1", target: first.path });
    return true;
  }

  *#file(file: Fd, name: RawName, type: MemberHeader["type"]): Generator<Buffer> {
    const path = this.#pathOf(name);
    if (type === "2") {
      const target = readLinkIn(file, "");
      return target === null ? undefined : yield* this.#member(file, path, { type, target });
    }
    if (type !== "0") return yield* this.#member(file, path, { type });
    const { size, allocatedBytes } = this.#status;
    const pieces = allocatedBytes < size ? dataPieces(file, size) : null;
    if (pieces !== null) return yield* this.#sparse(file, path, size, pieces);
    yield* this.#member(file, path, { type, size });
    yield* this.#data(file, 0, size, path);
    yield* this.#put(padding(size));
  }

  /** GNU's sparse format 1.0: the map stands in front of the data. */
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
    yield* this.#put(map);
    for (const { offset, length } of pieces) yield* this.#data(file, offset, length, path);
    yield* this.#put(padding(stored));
  }

  /** The header of what `#status` describes. */
  *#member(file: Fd, path: RawName, what: Partial<MemberHeader>): Generator<Buffer> {
    const { memory, mode, uid, gid } = this.#status;
    const isDevice = what.type === "3" || what.type === "4";
    const records = what.type === "1" ? [] : [...attributeRecords(file), ...(what.records ?? [])];
    const header = memberHeader({
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
    yield* this.#put(header);
  }

  /** File data goes from the kernel into the chunk without a detour. What a file lost meanwhile is filled with zeros. */
  *#data(file: Fd, offset: number, length: number, path: RawName): Generator<Buffer> {
    for (let done = 0; done < length; ) {
      if (this.#used === CHUNK) yield this.#full();
      const room = Math.min(CHUNK - this.#used, length - done);
      const count = readSync(file.number, this.#chunk, this.#used, room, offset + done);
      if (count === 0) {
        log("warning", `File '${textOf(path)}' shrank while it was read, filling it up with zeros.`);
        this.#chunk.fill(0, this.#used, this.#used + room);
      }
      this.#used += count || room;
      done += count || room;
    }
  }

  *#put(bytes: Buffer): Generator<Buffer> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#used === CHUNK) yield this.#full();
      const count = bytes.copy(this.#chunk, this.#used, at);
      this.#used += count;
      at += count;
    }
  }

  #full(): Buffer {
    const full = this.#chunk;
    this.#chunk = Buffer.allocUnsafeSlow(CHUNK);
    this.#used = 0;
    return full;
  }
}

function attributeRecords(file: Fd): [string, Buffer][] {
  return attributeNames(file).flatMap((name): [string, Buffer][] => {
    const value = getAttribute(file, name);
    if (value === null) return [];
    const key = ACL_KEYS[name];
    const text = key === undefined ? null : decodeAcl(value);
    if (key === undefined || text === null) return [[paxAttributeKey(name), value]];
    return [[key, Buffer.from(text)]];
  });
}

const PIECES_LIMIT = 250_000;

/** Where a file has data; null when that cannot be told, or when it is everywhere. */
function dataPieces(file: Fd, size: number): SparsePiece[] | null {
  const pieces: SparsePiece[] = [];
  for (let at = 0; at < size; ) {
    const offset = trySys("lseek", file.number, at, SEEK_DATA);
    if (offset === ENXIO) break;
    const end = offset < 0 ? offset : Math.min(trySys("lseek", file.number, offset, SEEK_HOLE), size);
    if (end < 0) return null;
    // Readers have limits: what is behind so many holes is written as it reads.
    const isLast = pieces.length === PIECES_LIMIT;
    if (offset < size) pieces.push({ offset, length: (isLast ? size : end) - offset });
    at = isLast ? size : end;
  }
  if (pieces.length === 1 && pieces[0]?.length === size) return null;
  // GNU tar wants to know where the file ends.
  return [...pieces, { offset: size, length: 0 }];
}
