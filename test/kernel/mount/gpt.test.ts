import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { fileSystemAt } from "../../../src/kernel/mount/disk-file-system.ts";
import { readPartitions } from "../../../src/kernel/mount/gpt.ts";
import { MANY, scratchDirectory } from "../support.ts";
import { makeDisk, ROOT_X64 } from "./disk-support.ts";

const directory = scratchDirectory();

function partitionsOf(bytes: Buffer) {
  const path = join(directory, "disk");
  writeFileSync(path, bytes);
  using disk = openPath(path, "read");
  return readPartitions(disk);
}

const DISK = makeDisk([
  { type: ROOT_X64, label: "root_1", sectors: 64 },
  { type: "0fc63daf-8483-4772-8e79-3d69d8477de4", label: "Räume", sectors: 8, attributes: 1n << 63n },
]);

test("the partitions of a GPT are read with type, label, attributes, offset and size", () => {
  expect(partitionsOf(DISK)).toEqual([
    { type: ROOT_X64, label: "root_1", attributes: 0n, offset: 40 * 512, size: 64 * 512 },
    {
      type: "0fc63daf-8483-4772-8e79-3d69d8477de4",
      label: "Räume",
      attributes: 1n << 63n,
      offset: 104 * 512,
      size: 8 * 512,
    },
  ]);
});

test("a GPT with sectors of 4096 bytes is read, too", () => {
  const partitions = partitionsOf(makeDisk([{ type: ROOT_X64, label: "big", sectors: 4 }], 4096));
  expect(partitions).toMatchObject([{ offset: 40 * 4096, size: 4 * 4096 }]);
});

test("the MBR's partitions are read where there is no GPT", () => {
  const sector = Buffer.alloc(1024);
  sector.writeUInt8(0x83, 446 + 4);
  sector.writeUInt32LE(2048, 446 + 8);
  sector.writeUInt32LE(100, 446 + 12);
  sector.writeUInt16LE(0xaa55, 510);
  expect(partitionsOf(sector)).toEqual([
    { type: "mbr-83", label: "", attributes: 0n, offset: 2048 * 512, size: 100 * 512 },
  ]);
});

test("a disk without a table has no partitions: empty, short, random", () => {
  expect(partitionsOf(Buffer.alloc(0))).toBeNull();
  expect(partitionsOf(Buffer.alloc(511))).toBeNull();
  expect(partitionsOf(Buffer.alloc(64 << 10))).toBeNull();
  expect(partitionsOf(Buffer.from("EFI PART"))).toBeNull();
});

/** Changes bytes of the header, and computes its checksum again unless the checksum shall be wrong. */
function spoiled(change: (header: Buffer) => void, options: { sum: boolean } = { sum: true }): Buffer {
  const disk = Buffer.from(DISK);
  const header = disk.subarray(512, 1024);
  change(header);
  if (options.sum) {
    header.writeUInt32LE(0, 16);
    header.writeUInt32LE(Bun.hash.crc32(header.subarray(0, Math.min(header.readUInt32LE(12), 512))), 16);
  }
  return disk;
}

test.each<[string, Buffer]>([
  ["the checksum of the header", spoiled((h) => h.writeUInt8(h.readUInt8(60) ^ 1, 60), { sum: false })],
  ["the size of the header", spoiled((h) => h.writeUInt32LE(0xffffffff, 12), { sum: false })],
  ["the number of entries", spoiled((h) => h.writeUInt32LE(0xffffffff, 80))],
  ["the size of entries", spoiled((h) => h.writeUInt32LE(1, 84))],
  ["the position of entries", spoiled((h) => h.writeBigUInt64LE(0xffffffffffffffffn, 72))],
  ["entries beyond the end", spoiled((h) => h.writeBigUInt64LE(1_000_000n, 72))],
  ["the checksum of entries", spoiled((h) => h.writeUInt32LE(1, 88))],
])("an invalid table is refused: %s", (_what, disk) => {
  expect(() => partitionsOf(disk)).toThrow("Broken partition table");
});

test("a protective MBR without a GPT header is refused", () => {
  expect(() => partitionsOf(DISK.fill(0, 512, 1024))).toThrow("protective MBR without a GPT header");
});

test("random tables neither crash nor hang", () => {
  for (let i = 0; i < 300; i++) {
    const disk = Buffer.from(crypto.getRandomValues(new Uint8Array(8192)));
    disk.write("EFI PART", 512, "latin1");
    disk.writeUInt32LE(92 + (i % 8) * 50, 512 + 12);
    disk.writeUInt32LE(0, 512 + 16);
    disk.writeUInt32LE(Bun.hash.crc32(disk.subarray(512, 512 + 92 + (i % 8) * 50)), 512 + 16);
    expect(() => partitionsOf(disk)).toThrow("Broken partition table");
  }
});

test("file systems are recognised by their signatures, and other content is not", () => {
  const image = (at: number, bytes: string, length = 128 << 10) => {
    const buffer = Buffer.alloc(length);
    buffer.write(bytes, at, "latin1");
    const path = join(directory, "fs");
    writeFileSync(path, buffer);
    using disk = openPath(path, "read");
    return fileSystemAt(disk, 0);
  };
  expect(image(1080, "\x53\xef")).toBe("ext4");
  expect(image(0, "XFSB")).toBe("xfs");
  expect(image(65600, "_BHRfS_M")).toBe("btrfs");
  expect(image(1024, "\xe2\xe1\xf5\xe0")).toBe("erofs");
  expect(image(0, "hsqs")).toBe("squashfs");
  expect(image(82, "FAT32   ")).toBe("vfat");
  expect(image(0, "LUKS\xba\xbe")).toBe("crypto_LUKS");
  expect(image(3, "NTFS    ")).toBeNull();
  expect(image(0, "", 3)).toBeNull();
});

test("reading tables stays correct in a hot loop", () => {
  const path = join(directory, "hot");
  writeFileSync(path, makeDisk([{ type: ROOT_X64, label: "x", sectors: 1 }]));
  using disk = openPath(path, "read");
  for (let i = 0; i < MANY / 100; i++)
    if (readPartitions(disk)?.[0]?.type !== ROOT_X64) throw new Error(`wrong at ${i}`);
  for (let i = 0; i < MANY / 10; i++) if (fileSystemAt(disk, 0) !== null) throw new Error(`wrong at ${i}`);
});
