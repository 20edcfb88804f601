// Parses partition tables of disk images: GPT, and MBR where there is no GPT. Tables are untrusted: sizes, offsets and
// checksums are verified. See UEFI, "GUID Partition Table (GPT) Disk Layout".
import type { Fd } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";

export interface Partition {
  /** The type GUID in lower case with hyphens; `mbr-83` and the like for MBR. */
  readonly type: string;
  readonly label: string;
  readonly attributes: bigint;
  /** Offset and size are bytes. */
  readonly offset: number;
  readonly size: number;
}

const SECTOR_SIZES = [512, 4096] as const;
const SIGNATURE = "EFI PART";
const HEADER_MIN = 92;
const ENTRY_MIN = 128;
const ENTRY_MAX = 4096;
const ENTRIES_MAX = 1024;
/** Above this, the offset in bytes would not be an exact number. */
const SECTOR_MAX = 1n << 40n;

const BUFFER_BYTES = 64 << 10;
const buffer = pinForever(BUFFER_BYTES);

/** Returns `length` bytes of `file` from `offset` on, fewer at the end of the file. */
export function readAt(file: Fd, offset: number, length: number): Buffer {
  const parts: Buffer[] = [];
  for (let done = 0; done < length; ) {
    const wanted = Math.min(length - done, BUFFER_BYTES);
    const count = check(trySys("pread64", file.number, buffer, wanted, offset + done), "read");
    if (count === 0) break;
    parts.push(Buffer.from(buffer.bytes.subarray(0, count)));
    done += count;
  }
  return Buffer.concat(parts);
}

/**
 * Returns the partitions of a disk in the table's order; null where it has no table. Throws `EUCLEAN` for an invalid
 * one.
 */
export function readPartitions(disk: Fd): Partition[] | null {
  for (const sectorSize of SECTOR_SIZES) {
    const header = readAt(disk, sectorSize, sectorSize);
    if (header.length === sectorSize && header.toString("latin1", 0, 8) === SIGNATURE) {
      return gptPartitions(disk, header, sectorSize);
    }
  }
  return mbrPartitions(readAt(disk, 0, 512));
}

function broken(what: string): SyscallError {
  return new SyscallError("partitions", "EUCLEAN", undefined, `Broken partition table: ${what}`);
}

function gptPartitions(disk: Fd, header: Buffer, sectorSize: number): Partition[] {
  const headerSize = header.readUInt32LE(12);
  if (headerSize < HEADER_MIN || headerSize > sectorSize) throw broken("invalid size of header");
  const summed = Buffer.from(header.subarray(0, headerSize));
  summed.writeUInt32LE(0, 16);
  if (Bun.hash.crc32(summed) !== header.readUInt32LE(16)) throw broken("wrong checksum of header");
  const [count, entrySize] = [header.readUInt32LE(80), header.readUInt32LE(84)];
  if (count > ENTRIES_MAX || entrySize < ENTRY_MIN || entrySize > ENTRY_MAX)
    throw broken("invalid number or size of entries");
  const entries = readAt(disk, offsetOf(header.readBigUInt64LE(72), sectorSize), count * entrySize);
  if (entries.length < count * entrySize) throw broken("entries beyond the end of the file");
  if (Bun.hash.crc32(entries) !== header.readUInt32LE(88)) throw broken("wrong checksum of entries");
  const partitions: Partition[] = [];
  for (let at = 0; at < entries.length; at += entrySize) {
    const partition = gptPartition(entries.subarray(at, at + entrySize), sectorSize);
    if (partition !== null) partitions.push(partition);
  }
  return partitions;
}

function offsetOf(sector: bigint, sectorSize: number): number {
  if (sector > SECTOR_MAX) throw broken("invalid offset");
  return Number(sector) * sectorSize;
}

const UNUSED = "00000000-0000-0000-0000-000000000000";

function gptPartition(entry: Buffer, sectorSize: number): Partition | null {
  const type = guid(entry);
  if (type === UNUSED) return null;
  const [first, last] = [entry.readBigUInt64LE(32), entry.readBigUInt64LE(40)];
  if (last < first) throw broken("invalid size of partition");
  return {
    type,
    label: entry.toString("utf16le", 56, ENTRY_MIN).split("\0", 1)[0] ?? "",
    attributes: entry.readBigUInt64LE(48),
    offset: offsetOf(first, sectorSize),
    size: offsetOf(last - first + 1n, sectorSize),
  };
}

/** Formats a GUID, whose first three groups are little-endian numbers. */
function guid(bytes: Buffer): string {
  const number = (at: number, length: number) =>
    bytes
      .readUIntLE(at, length)
      .toString(16)
      .padStart(length * 2, "0");
  return [number(0, 4), number(4, 2), number(6, 2), bytes.toString("hex", 8, 10), bytes.toString("hex", 10, 16)].join(
    "-",
  );
}

const MBR_SIGNATURE = 0xaa55;
const PROTECTIVE = 0xee;

function mbrPartitions(sector: Buffer): Partition[] | null {
  if (sector.length < 512 || sector.readUInt16LE(510) !== MBR_SIGNATURE) return null;
  const partitions: Partition[] = [];
  for (let at = 446; at < 510; at += 16) {
    const kind = sector.readUInt8(at + 4);
    if (kind === PROTECTIVE) throw broken("protective MBR without a GPT header");
    const size = sector.readUInt32LE(at + 12) * 512;
    if (kind === 0 || size === 0) continue;
    const type = `mbr-${kind.toString(16).padStart(2, "0")}`;
    partitions.push({ type, label: "", attributes: 0n, offset: sector.readUInt32LE(at + 8) * 512, size });
  }
  return partitions;
}
