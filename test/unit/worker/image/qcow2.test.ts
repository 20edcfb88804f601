import { afterAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, readSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync, zstdCompressSync } from "node:zlib";
import { inNextTurn } from "../../../../src/base/next-turn.ts";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { foreignFormat, requireDisk } from "../../../../src/worker/image/disk-format.ts";
import { convertQcow2, isQcow2 } from "../../../../src/worker/image/qcow2.ts";
import { havePrograms } from "../../../lib/programs.ts";

const scratch = mkdtempSync(join(tmpdir(), "qcow2-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const BITS = 16;
const CLUSTER = 1 << BITS;

interface Made {
  readonly version?: number;
  readonly change?: (header: Buffer) => void;
  readonly l1?: bigint;
  readonly l2?: Readonly<Record<number, bigint>>;
}

const A = randomBytes(CLUSTER);
const B = Buffer.concat([Buffer.alloc(CLUSTER / 2, "compressible "), Buffer.alloc(CLUSTER / 2)]);
const SIZE = 6 * CLUSTER + 512;

/** Cluster 0 header, 1 L1, 2 L2, 3 data A, 4 compressed B; guest clusters: 0 = A, 2 = B, 3 = zero, 6 (short) = A. */
function make({ version = 3, change, l1, l2 = {} }: Made = {}): Buffer {
  const packed = deflateRawSync(B, { windowBits: 12 });
  const file = Buffer.alloc(4 * CLUSTER + 512 + Math.ceil(packed.length / 512) * 512 + 512);
  file.write("QFI\xfb", 0, "latin1");
  file.writeUInt32BE(version, 4);
  file.writeUInt32BE(BITS, 20);
  file.writeBigUInt64BE(BigInt(SIZE), 24);
  file.writeUInt32BE(1, 36);
  file.writeBigUInt64BE(BigInt(CLUSTER), 40);
  file.writeUInt32BE(104, 100);
  change?.(file);
  file.writeBigUInt64BE(l1 ?? (1n << 63n) | BigInt(2 * CLUSTER), CLUSTER);
  const sectors = BigInt(Math.ceil(packed.length / 512));
  const start = 4 * CLUSTER + 100;
  const entries: Record<number, bigint> = {
    0: (1n << 63n) | BigInt(3 * CLUSTER),
    2: (1n << 62n) | (sectors << BigInt(62 - (BITS - 8))) | BigInt(start),
    3: 1n,
    6: (1n << 63n) | BigInt(3 * CLUSTER),
    ...l2,
  };
  for (const [index, value] of Object.entries(entries)) file.writeBigUInt64BE(value, 2 * CLUSTER + Number(index) * 8);
  A.copy(file, 3 * CLUSTER);
  packed.copy(file, start);
  return file;
}

let count = 0;

async function convert(bytes: Buffer): Promise<{ path: string; error: string | null }> {
  const [from, to] = [join(scratch, `${count}.qcow2`), join(scratch, `${count++}.raw`)];
  writeFileSync(from, bytes);
  writeFileSync(to, "");
  using source = openPath(from, "read");
  using target = openPath(to, "read-write");
  expect(isQcow2(source)).toBe(true);
  try {
    await convertQcow2(source, target);
    return { path: to, error: null };
  } catch (error) {
    return { path: to, error: (error as Error).message };
  }
}

for (const version of [2, 3]) {
  test(`I106: version ${version}, plain, compressed, zero and missing clusters`, async () => {
    const { path, error } = await convert(make({ version }));
    expect(error).toBeNull();
    const wanted = Buffer.alloc(SIZE);
    A.copy(wanted, 0);
    B.copy(wanted, 2 * CLUSTER);
    A.copy(wanted, 6 * CLUSTER, 0, 512);
    expect(readFileSync(path).equals(wanted)).toBe(true);
    expect(statSync(path).blocks * 512).toBeLessThan(3 * CLUSTER);
  });
}

const HOSTILE: readonly (Made & { name: string; says: string })[] = [
  { name: "a backing file (CVE-2024-4467)", change: (h) => void h.writeBigUInt64BE(512n, 8), says: "backing file" },
  {
    name: "a backing file's name without a position",
    change: (h) => void h.writeUInt32BE(9, 16),
    says: "backing file",
  },
  { name: "an external data file", change: (h) => void h.writeBigUInt64BE(4n, 72), says: "external file" },
  { name: "the flag of a corrupt image", change: (h) => void h.writeBigUInt64BE(2n, 72), says: "marked as corrupt" },
  { name: "extended L2 entries", change: (h) => void h.writeBigUInt64BE(16n, 72), says: "extended L2 entries" },
  { name: "an unknown feature", change: (h) => void h.writeBigUInt64BE(1n << 40n, 72), says: "0x10000000000" },
  {
    name: "an unknown compression",
    change: (h) => {
      h.writeBigUInt64BE(8n, 72);
      h.writeUInt8(7, 104);
    },
    says: "unknown compression 7",
  },
  { name: "encryption", change: (h) => void h.writeUInt32BE(1, 32), says: "encrypted" },
  { name: "version 4", change: (h) => void h.writeUInt32BE(4, 4), says: "version 4" },
  { name: "clusters of one byte", change: (h) => void h.writeUInt32BE(0, 20), says: "cluster size" },
  { name: "clusters of a gigabyte", change: (h) => void h.writeUInt32BE(30, 20), says: "cluster size" },
  {
    name: "a size that its tables do not cover",
    change: (h) => void h.writeBigUInt64BE(1n << 49n, 24),
    says: "number of tables",
  },
  { name: "a size of exbibytes", change: (h) => void h.writeBigUInt64BE(1n << 62n, 24), says: "impossible size" },
  {
    name: "a huge table in a small file",
    change: (h) => {
      h.writeBigUInt64BE(1n << 49n, 24);
      h.writeUInt32BE(32 << 20, 36);
    },
    says: "table outside",
  },
  {
    name: "an L1 table beyond the end of the file",
    change: (h) => void h.writeBigUInt64BE(BigInt(1000 * CLUSTER), 40),
    says: "table outside",
  },
  { name: "an L2 table beyond the end of the file", l1: BigInt(1000 * CLUSTER), says: "table outside" },
  { name: "a cluster beyond the end of the file", l2: { 1: BigInt(1000 * CLUSTER) }, says: "cluster outside" },
  { name: "a cluster that is not aligned", l2: { 1: BigInt(3 * CLUSTER + 512) }, says: "cluster outside" },
  {
    name: "a compressed cluster beyond the end of the file",
    l2: { 1: (1n << 62n) | BigInt(1000 * CLUSTER) },
    says: "cluster outside",
  },
  {
    name: "one cluster used in place of all (a bomb)",
    change: (h) => void h.writeBigUInt64BE(BigInt(8000 * CLUSTER), 24),
    l2: Object.fromEntries(Array.from({ length: 8000 }, (_, index) => [index, BigInt(3 * CLUSTER)])),
    says: "used more than once",
  },
  { name: "a compressed cluster of garbage", l2: { 1: (1n << 62n) | BigInt(3 * CLUSTER) }, says: "compressed cluster" },
];

for (const { name, says, ...made } of HOSTILE) {
  test(`I107: ${name} is refused`, async () => {
    expect((await convert(make(made))).error).toContain(says);
  });
}

test("a file that is cut off at any length is refused, or converted without missing data", async () => {
  const whole = make();
  const content = readFileSync((await convert(whole)).path);
  const outcomes = new Map<string, number>();
  for (let length = 4; length < whole.length; length += 3001) {
    const { path, error } = await convert(whole.subarray(0, length));
    // Missing bytes are never read as zeros: either all clusters are complete, or the file is refused.
    if (error === null) expect([length, readFileSync(path).equals(content)]).toEqual([length, true]);
    else expect(error).toMatch(/^QCOW2 image is (damaged|not supported): /);
    outcomes.set(error ?? "read", (outcomes.get(error ?? "read") ?? 0) + 1);
  }
  expect(outcomes.size).toBeGreaterThan(1);
});

test("an image that was not closed properly is read, because only writers need its reference counts", async () => {
  const { path, error } = await convert(make({ change: (h) => void h.writeBigUInt64BE(1n, 72) }));
  expect([error, readFileSync(path).subarray(0, CLUSTER).equals(A)]).toEqual([null, true]);
});

test("an image that uses one compressed cluster many times is refused before it fills the disk", async () => {
  const bytes = make();
  const packed = bytes.readBigUInt64BE(2 * CLUSTER + 16);
  for (let index = 0; index < 8192; index++) bytes.writeBigUInt64BE(packed, 2 * CLUSTER + index * 8);
  bytes.writeBigUInt64BE(BigInt(8192 * CLUSTER), 24);
  const { path, error } = await convert(bytes);
  expect(error).toContain("compressed clusters are used more than once");
  expect(statSync(path).blocks * 512).toBeLessThan(1100 * bytes.length);
});

test("an image with very little in each of many clusters, which zstd compresses best, is converted", async () => {
  const clusters = 8192;
  const content = Buffer.alloc(CLUSTER);
  content[0] = 1;
  const packed = zstdCompressSync(content);
  const head = Buffer.alloc(3 * CLUSTER);
  make().copy(head, 0, 0, CLUSTER);
  head.writeBigUInt64BE(BigInt(clusters * CLUSTER), 24);
  head.writeBigUInt64BE(8n, 72);
  head.writeUInt32BE(112, 100);
  head.writeUInt8(1, 104);
  head.writeBigUInt64BE((1n << 63n) | BigInt(2 * CLUSTER), CLUSTER);
  for (let index = 0; index < clusters; index++) {
    const start = 3 * CLUSTER + index * packed.length;
    const sectors = BigInt(Math.floor((start + packed.length - 1) / 512) - Math.floor(start / 512));
    const entry = (1n << 62n) | (sectors << BigInt(62 - (BITS - 8))) | BigInt(start);
    head.writeBigUInt64BE(entry, 2 * CLUSTER + index * 8);
  }
  const { path, error } = await convert(Buffer.concat([head, ...Array<Buffer>(clusters).fill(packed)]));
  expect(error).toBeNull();
  expect(statSync(path).size).toBe(clusters * CLUSTER);
  using file = openPath(path, "read");
  const found = Buffer.alloc(CLUSTER);
  const isWrong = (_: undefined, index: number) => {
    return readSync(file.number, found, 0, CLUSTER, index * CLUSTER) !== CLUSTER || !found.equals(content);
  };
  expect(Array<undefined>(clusters).fill(undefined).findIndex(isWrong)).toBe(-1);
});

const hasQemu = havePrograms("images that qemu-img makes", "qemu-img");
const OPTIONS = ["compression_type=zstd", "compression_type=zlib", "compression_type=zstd,cluster_size=4k"];
for (const [options, flags] of OPTIONS.flatMap((one) => [[one, ["-c"]] as const, [one, []] as const])) {
  test.skipIf(!hasQemu)(
    `an image by qemu-img convert ${flags.join("")} with ${options} is converted back to the same bytes`,
    async () => {
      const raw = join(scratch, `${count}.img`);
      const wanted = Buffer.concat([
        A,
        B,
        Buffer.alloc(5 * CLUSTER),
        randomBytes(3 * CLUSTER),
        B,
        B,
        Buffer.alloc(4096, 7),
      ]);
      writeFileSync(raw, wanted);
      const packed = join(scratch, `${count}.packed`);
      const command = ["qemu-img", "convert", ...flags, "-f", "raw", "-O", "qcow2", "-o", options, raw, packed];
      expect(Bun.spawnSync(command).exitCode).toBe(0);
      const { path, error } = await convert(readFileSync(packed));
      expect(error).toBeNull();
      expect(readFileSync(path).equals(wanted)).toBe(true);
    },
  );
}

for (const [format, name] of [
  ["vmdk", "VMDK"],
  ["vpc", "VHD"],
  ["vhdx", "VHDX"],
  ["vdi", "VDI"],
  ["qed", "QED"],
] as const) {
  test.skipIf(!hasQemu)(`the error about a ${name} image names the format`, () => {
    const path = join(scratch, `disk.${format}`);
    expect(Bun.spawnSync(["qemu-img", "create", "-q", "-f", format, path, "4M"]).exitCode).toBe(0);
    using file = openPath(path, "read");
    expect(foreignFormat(file)).toBe(name);
    expect(() => requireDisk(file)).toThrow(`Image is a ${name} disk image`);
  });
}

test("a VHD without blocks is recognised by its footer, and a raw image is not taken for another format", () => {
  const path = join(scratch, "fixed");
  const bytes = Buffer.concat([randomBytes(8192), Buffer.alloc(512)]);
  for (const name of [null, "VHD"]) {
    if (name !== null) bytes.write("conectix", 8192);
    writeFileSync(path, bytes);
    using file = openPath(path, "read");
    expect(foreignFormat(file)).toBe(name);
  }
  writeFileSync(path, "");
  using empty = openPath(path, "read");
  expect(foreignFormat(empty)).toBeNull();
});

test("archives and unknown compressions are no disk images, and the error says so", () => {
  const path = join(scratch, "packed");
  for (const [name, hex, at] of [
    ["zip", "504b0304", 0],
    ["7z", "377abcaf271c", 0],
    ["compress", "1f9d90", 0],
    ["lz4 (legacy)", "02214c18", 0],
    ["tar", "7573746172", 257],
  ] as const) {
    const bytes = randomBytes(4096);
    Buffer.from(hex, "hex").copy(bytes, at);
    writeFileSync(path, bytes);
    using file = openPath(path, "read");
    expect(() => requireDisk(file)).toThrow(`Image is ${name} data, not a raw or QCOW2 disk image. Unpack it first.`);
  }
});

test("an image of very many tables without a cluster is converted in turns", async () => {
  const [small, tables] = [512, 20_000];
  const [from, to] = [join(scratch, "tables.qcow2"), join(scratch, "tables.raw")];
  const tableBytes = Math.ceil((tables * 8) / small) * small;
  const head = Buffer.alloc(small + tableBytes);
  head.write("QFI\xfb", 0, "latin1");
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(9, 20);
  head.writeBigUInt64BE(BigInt(tables * (small / 8) * small), 24);
  head.writeUInt32BE(tables, 36);
  head.writeBigUInt64BE(BigInt(small), 40);
  for (let index = 0; index < tables; index++)
    head.writeBigUInt64BE(BigInt(small + tableBytes + index * small), small + index * 8);
  writeFileSync(from, head);
  // The tables themselves are a hole.
  truncateSync(from, head.length + tables * small);
  writeFileSync(to, "");
  using source = openPath(from, "read");
  using target = openPath(to, "read-write");
  let turns = 0;
  inNextTurn(() => void turns++);
  await convertQcow2(source, target);
  expect(turns).toBe(1);
  expect(statSync(to)).toMatchObject({ size: tables * (small / 8) * small, blocks: 0 });
});
