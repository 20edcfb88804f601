// Reads tar archives of all common formats: V7, ustar, GNU and pax. Applies extended headers to their members, and
// passes members to a target, their data in pieces. Malformed parts are errors and never skipped, because programs that
// skip them differently see different members (CVE-2025-62518).
import { ErrnoError } from "../../base/error.ts";
import { onOneLine } from "../../base/text/control-characters.ts";
import { type RawName, textOf } from "../../kernel/tree/tree.ts";
import { ByteFeed, damaged, isDamage, type Parse } from "../stream/feed.ts";
import type { TarEntry, TarKind, TarSink, TarTarget } from "./entry.ts";
import {
  BLOCK,
  fileSize,
  hasValidSum,
  headerName,
  identity,
  isZeroBlock,
  parseHeader,
  type TarHeader,
} from "./header.ts";
import { EXTENDED_LIMIT, type PaxRecords, paxAttributes, paxName, paxNumber, paxTime, readPax } from "./pax.ts";
import { isPaxSparse, piecesOf, readOldSparse, readPaxSparse, type SparseMap } from "./sparse.ts";

const KINDS: Readonly<Record<string, TarKind>> = {
  "0": "regular",
  "7": "regular",
  S: "regular",
  "1": "hard-link",
  "2": "symlink",
  "3": "character",
  "4": "block",
  "5": "directory",
  D: "directory",
  "6": "fifo",
};

/** A header without a member. */
const VOLUME_LABEL = "V";
const NAME_LIMIT = 64 << 10;
/** The size limit of global headers, which are merged into every later member. */
const GLOBAL_LIMIT = 16 << 10;
const ENTRY_LIMIT = 8_000_000;
/** An archive without members is a record of zeros, usually of 20 blocks. More are the start of a disk image. */
const EMPTY_BLOCKS = 128;

export class TarReader {
  readonly #target: TarTarget;
  readonly #feed = new ByteFeed();
  readonly #parser: Parse<void>;
  readonly #global: PaxRecords = new Map();
  #records: PaxRecords = new Map();
  #longName: RawName | null = null;
  #longLink: RawName | null = null;
  #extendedBytes = 0;
  #globalBytes = 0;
  #entries = 0;
  #hasEndMark = true;

  constructor(target: TarTarget) {
    this.#target = target;
    this.#parser = this.#archive();
    this.#parser.next();
  }

  /**
   * Whether the archive has an end mark; valid after `end()`. Without one, the archive may have been cut between
   * members.
   */
  get hasEndMark(): boolean {
    return this.#hasEndMark;
  }

  /** The number of members so far. */
  get entries(): number {
    return this.#entries;
  }

  /**
   * Reads the next bytes of the archive; the caller may reuse their memory afterwards. Throws EBADMSG for malformed
   * parts.
   */
  push(chunk: Buffer): void {
    this.#parser.next(chunk);
  }

  /** Ends the archive. Throws EBADMSG where it is incomplete. */
  end(): void {
    if (this.#parser.next(null).done !== true) throw damaged("it ends in the middle of a member");
  }

  *#archive(): Parse<void> {
    let isFirst = true;
    let isEnded = false;
    let zeros = 0;
    while (yield* this.#feed.hasMore()) {
      const block = yield* this.#nextBlock(isFirst);
      if (isZeroBlock(block)) {
        // Concatenated archives are read as one, as by tar --ignore-zeros.
        isEnded = true;
        if (this.#entries === 0 && ++zeros > EMPTY_BLOCKS) throw notTar();
      } else {
        if (!hasValidSum(block)) throw isFirst ? notTar() : damaged("no header where a member begins");
        isEnded = false;
        yield* this.#named(Buffer.from(block));
      }
      isFirst = false;
    }
    if (isFirst) throw notTar();
    if (this.#hasPending) throw damaged("it ends between an extended header and its member");
    this.#hasEndMark = isEnded;
  }

  /**
   * Returns the next block. Input of less than one block is not an archive; trailing zeros of less than a block are an
   * end mark.
   */
  *#nextBlock(isFirst: boolean): Parse<Buffer> {
    const block = yield* this.#feed.takeUpTo(BLOCK);
    if (block.length === BLOCK) return block;
    if (isFirst) throw notTar();
    if (block.some((byte) => byte !== 0)) throw damaged("it ends in the middle of a header");
    return Buffer.alloc(BLOCK);
  }

  get #hasPending(): boolean {
    return this.#records.size > 0 || this.#longName !== null || this.#longLink !== null;
  }

  /** Reads a member; an error of the archive names it. */
  *#named(block: Buffer): Parse<void> {
    try {
      yield* this.#member(block);
    } catch (error) {
      if (!(error instanceof ErrnoError) || !isDamage(error)) throw error;
      const name = paxName(this.#records, "path") ?? this.#longName ?? headerName(block);
      throw new ErrnoError(error.errnoName, `${error.message}, at '${onOneLine(textOf(name))}'`, { cause: error });
    }
  }

  *#member(block: Buffer): Parse<void> {
    const header = parseHeader(block);
    switch (header.type) {
      case "x":
      case "X":
        return readPax(yield* this.#extended(header.size), this.#records);
      case "g":
        this.#globalBytes += header.size;
        if (this.#globalBytes > GLOBAL_LIMIT) throw damaged("global headers of more than 16 KiB");
        return readPax(yield* this.#extended(header.size), this.#global);
      case "L":
        this.#longName = yield* this.#longText(header.size);
        return;
      case "K":
        this.#longLink = yield* this.#longText(header.size);
        return;
      case VOLUME_LABEL:
        return yield* this.#feed.skip(padded(header.size));
      default:
        yield* this.#entry(header, block);
        this.#forget();
    }
  }

  #forget(): void {
    if (this.#records.size > 0) this.#records = new Map();
    this.#longName = null;
    this.#longLink = null;
    this.#extendedBytes = 0;
  }

  *#extended(size: number): Parse<Buffer> {
    this.#extendedBytes += size;
    if (this.#extendedBytes > EXTENDED_LIMIT) throw damaged("extended headers of more than 4 MiB");
    return (yield* this.#feed.take(padded(size))).subarray(0, size);
  }

  *#longText(size: number): Parse<RawName> {
    if (size > NAME_LIMIT) throw new ErrnoError("ENAMETOOLONG", "Archive has a name of more than 64 KiB");
    const bytes = (yield* this.#feed.take(padded(size))).subarray(0, size);
    const end = bytes.indexOf(0);
    return bytes.toString("latin1", 0, end < 0 ? bytes.length : end);
  }

  *#entry(header: TarHeader, block: Buffer): Parse<void> {
    if (++this.#entries > ENTRY_LIMIT) throw new ErrnoError("EFBIG", `Archive has more than ${ENTRY_LIMIT} members`);
    const records = this.#global.size === 0 ? this.#records : new Map([...this.#global, ...this.#records]);
    const path = this.#pathOf(header, records);
    const kind = kindOf(header, path);
    const stored = fileSize(paxNumber(records, "size") ?? header.size);
    // Some programs skip its data, others read members there.
    if (kind === "directory" && KINDS[header.type] === "regular" && stored > 0)
      throw damaged("a file with data whose name ends in a slash");
    // Links have no data, whatever their size field says, as in GNU tar.
    const dataBytes = kind === "regular" || header.type === "D" ? stored : 0;
    const sparse = kind === "regular" ? yield* this.#sparseMap(header, block, records, dataBytes) : null;
    const sink = this.#target.entry(this.#describe(header, records, { path, kind, stored, sparse }));
    yield* this.#data(sink, sparse, dataBytes);
    // Some archives lack the padding of the last member.
    yield* this.#feed.takeUpTo(padded(dataBytes) - dataBytes);
    sink?.end();
  }

  *#sparseMap(header: TarHeader, block: Buffer, records: PaxRecords, dataBytes: number): Parse<SparseMap | null> {
    if (header.type === "S") return yield* readOldSparse(block, dataBytes, this.#feed);
    return isPaxSparse(records) ? yield* readPaxSparse(records, dataBytes, this.#feed) : null;
  }

  /** Returns the path of a member; that of the header comes last, because it may be truncated. */
  #pathOf(header: TarHeader, records: PaxRecords): RawName {
    return paxName(records, "GNU.sparse.name") ?? paxName(records, "path") ?? this.#longName ?? header.name;
  }

  #describe(header: TarHeader, records: PaxRecords, found: Found): TarEntry {
    const hasRecords = records.size > 0;
    const text = (key: string) => records.get(key)?.toString("utf8") ?? null;
    return {
      path: found.path,
      kind: found.kind,
      mode: header.mode,
      uid: identity(paxNumber(records, "uid") ?? header.uid),
      gid: identity(paxNumber(records, "gid") ?? header.gid),
      size: found.sparse?.size ?? found.stored,
      time: paxTime(records, "mtime") ?? { seconds: header.seconds, nanoseconds: 0 },
      target: paxName(records, "linkpath") ?? this.#longLink ?? header.linkName,
      major: header.major,
      minor: header.minor,
      attributes: hasRecords ? paxAttributes(records) : null,
      acl: hasRecords ? { access: text("SCHILY.acl.access"), fallback: text("SCHILY.acl.default") } : NO_ACL,
      sparse: found.sparse,
    };
  }

  *#data(sink: TarSink | null, sparse: SparseMap | null, dataBytes: number): Parse<void> {
    if (sink === null) return yield* this.#feed.skip(dataBytes - (sparse?.mapBytes ?? 0));
    for (const { offset, length } of sparse === null ? [{ offset: 0, length: dataBytes }] : piecesOf(sparse)) {
      let at = offset;
      yield* this.#feed.pass(length, (part) => {
        sink.write(part, at);
        at += part.length;
      });
    }
  }
}

interface Found {
  readonly path: RawName;
  readonly kind: TarKind;
  readonly stored: number;
  readonly sparse: SparseMap | null;
}

const NO_ACL = { access: null, fallback: null };

function notTar(): ErrnoError {
  return new ErrnoError("EBADMSG", "This does not look like a tar archive");
}

function kindOf({ type }: TarHeader, name: RawName): TarKind {
  const kind = KINDS[type];
  if (kind === undefined) throw damaged(`member of unknown type ${JSON.stringify(type)}`);
  // Old archives (V7) mark directories only by a trailing slash.
  return kind === "regular" && name.endsWith("/") ? "directory" : kind;
}

function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}
