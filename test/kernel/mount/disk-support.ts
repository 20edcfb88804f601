// Disk images with a GPT, made byte by byte.

export const ROOT_X64 = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";

interface NewPartition {
  readonly type: string;
  readonly label: string;
  readonly sectors?: number;
  readonly attributes?: bigint;
  /** The partition's content, which determines its size. */
  readonly content?: Uint8Array;
}

const FIRST_SECTOR = 40;
const ENTRIES = 128;
const ENTRY_SIZE = 128;

function guidBytes(text: string): Buffer {
  const [a = "", b = "", c = "", d = "", e = ""] = text.split("-");
  const reversed = (hex: string) => Buffer.from(hex, "hex").reverse();
  return Buffer.concat([reversed(a), reversed(b), reversed(c), Buffer.from(d + e, "hex")]);
}

/** A disk with these partitions in order, after a protective MBR. */
export function makeDisk(partitions: readonly NewPartition[], sectorSize = 512): Buffer {
  const entries = Buffer.alloc(ENTRIES * ENTRY_SIZE);
  const contents: Buffer[] = [];
  let next = FIRST_SECTOR;
  for (const [index, { type, label, sectors = 0, attributes = 0n, content }] of partitions.entries()) {
    const size = content === undefined ? sectors : Math.ceil(content.length / sectorSize);
    const at = index * ENTRY_SIZE;
    guidBytes(type).copy(entries, at);
    guidBytes(crypto.randomUUID()).copy(entries, at + 16);
    entries.writeBigUInt64LE(BigInt(next), at + 32);
    entries.writeBigUInt64LE(BigInt(next + size - 1), at + 40);
    entries.writeBigUInt64LE(attributes, at + 48);
    entries.write(label, at + 56, "utf16le");
    const padded = Buffer.alloc(size * sectorSize);
    padded.set(content ?? []);
    contents.push(padded);
    next += size;
  }
  const head = Buffer.alloc(FIRST_SECTOR * sectorSize);
  head.writeUInt8(0xee, 446 + 4);
  head.writeUInt32LE(1, 446 + 8);
  head.writeUInt32LE(0xffffffff, 446 + 12);
  head.writeUInt16LE(0xaa55, 510);
  const header = head.subarray(sectorSize, 2 * sectorSize);
  header.write("EFI PART", 0, "latin1");
  header.writeUInt32LE(0x00010000, 8);
  header.writeUInt32LE(92, 12);
  header.writeBigUInt64LE(1n, 24);
  header.writeBigUInt64LE(2n, 72);
  header.writeUInt32LE(ENTRIES, 80);
  header.writeUInt32LE(ENTRY_SIZE, 84);
  header.writeUInt32LE(Bun.hash.crc32(entries), 88);
  header.writeUInt32LE(Bun.hash.crc32(header.subarray(0, 92)), 16);
  entries.copy(head, 2 * sectorSize);
  return Buffer.concat([head, ...contents]);
}
