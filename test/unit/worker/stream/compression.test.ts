import { expect, spyOn, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { brotliCompressSync, createZstdCompress, gzipSync, zstdCompressSync } from "node:zlib";
import { type Compression, compressionOfName } from "../../../../src/base/vocabulary/compression.ts";
import type { Chunks } from "../../../../src/worker/stream/archive.ts";
import { compress, decompress, detectCompression } from "../../../../src/worker/stream/compression.ts";
import { checkedBzip2 } from "../../../../src/worker/stream/compression-bzip2.ts";
import { findProgram } from "../../../../src/worker/stream/compression-program.ts";
import { needsMuchMemory } from "../../../../src/worker/stream/compression-zstd.ts";
import { havePrograms } from "../../../lib/programs.ts";
import { waitFor } from "../../../lib/wait-for.ts";

const text = Buffer.concat(
  Array.from({ length: 3000 }, (_, i) => Buffer.from(`line ${i * 7919} of some text\n`.repeat(i % 40))),
);

async function* pieces(bytes: Buffer, step: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
}

async function collect(chunks: Chunks): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

async function failure(bytes: Buffer, step = 1000): Promise<string> {
  try {
    await collect(decompress(pieces(bytes, step)));
    return "none";
  } catch (error) {
    return String((error as { errnoName?: string }).errnoName);
  }
}

/** An empty stream, and one for each number of padding bits in the last byte. */
const BZIP2_STREAMS = [
  "425a683917724538509000000000",
  "425a6839314159265359b2e52e900000034900004030002000200030cd3418c8e0af177245385090b2e52e90",
  "425a6839314159265359fd7406bb00000449008080110020000008200030cd00c650e16f049e2ee48a70a121fae80d76",
  "425a68393141592653596a31521000000109001000200020002100822c5dc914e14241a8c54840",
  "425a6839314159265359903a749d00000189045000200004002000219a68334d011938bb9229c2848481d3a4e8",
  "425a68393141592653599c4770130000008900200020002000210082b1772453850909c4770130",
  "425a6839314159265359377f76ec00000349000080200020002000219819845e42ee48a70a1206efeedd80",
  "425a683931415926535931730bb8000003090001012000200030cc0934cbc185dc914e14240c5cc2ee00",
  "425a68393141592653592bf6f051000002c9004000040020002000219819843b0bb9229c284815fb782880",
];

const program = { xz: "xz", bzip2: "bzip2", lz4: "lz4" } as const;
const formats = (["gzip", "zstd", "xz", "bzip2", "lz4"] as const).filter((format) => {
  return !(format in program) || havePrograms(`compression by ${format}`, program[format as keyof typeof program]);
});

test("I68: garbage after a bzip2 stream is an error, also where the host's bzip2 ignores it", async () => {
  for (const hex of BZIP2_STREAMS) {
    const stream = Buffer.from(hex, "hex");
    for (const step of [1, 7, 1000]) expect(await collect(checkedBzip2(pieces(stream, step)))).toEqual(stream);
    const more = Buffer.concat([stream, Buffer.from("x")]);
    await expect(collect(checkedBzip2(pieces(more, 3)))).rejects.toThrow("does not end with an end mark");
  }
});

test("I68: zeros may follow a gzip stream; what follows them is an error, as other data behind the end", async () => {
  const packed = gzipSync(text);
  const zeros = Buffer.alloc(100_000);
  for (const step of [1000, 64 << 10, 1 << 20]) {
    for (const rest of [zeros, zeros.subarray(0, 1)]) {
      expect((await collect(decompress(pieces(Buffer.concat([packed, packed, rest]), step)))).length).toBe(
        2 * text.length,
      );
    }
    for (const rest of [Buffer.concat([zeros, packed]), Buffer.from("\0garbage"), Buffer.from("\0\0x\0\0")]) {
      expect(await failure(Buffer.concat([packed, rest]), step)).toBe("EBADMSG");
    }
  }
});

for (const format of formats) {
  test(`I70, I71: ${format} is recognised by its first bytes and decompressed unchanged`, async () => {
    const packed = await collect(compress(pieces(text, 100_001), format));
    expect(detectCompression(packed)).toBe(format);
    for (const step of [1, 4096, 1 << 20]) {
      if (step === 1 && packed.length > 200_000) continue;
      expect((await collect(decompress(pieces(packed, step)))).equals(text)).toBe(true);
    }
  });

  test(`an empty stream is compressed and decompressed by ${format}`, async () => {
    const packed = await collect(compress(pieces(Buffer.alloc(0), 1), format));
    expect((await collect(decompress(pieces(packed, 5)))).length).toBe(0);
  });

  test(`I65, I66: ${format} that ends too early is an error, wherever it ends`, async () => {
    const packed = await collect(compress(pieces(text, 100_001), format));
    for (const cut of [1, 4, 9, 100, Math.floor(packed.length / 2)]) {
      expect(await failure(packed.subarray(0, packed.length - cut), 64 << 10)).toBe("EBADMSG");
    }
  });

  test(`I67: several ${format} streams in a row are decompressed as one`, async () => {
    const packed = await collect(compress(pieces(text, 100_001), format));
    const twice = await collect(decompress(pieces(Buffer.concat([packed, packed]), 64 << 10)));
    expect(twice.equals(Buffer.concat([text, text]))).toBe(true);
  });

  test(`I68: garbage after a ${format} stream is an error, not an endless loop`, async () => {
    const packed = await collect(compress(pieces(text, 100_001), format));
    for (const step of [64 << 10, packed.length]) {
      expect(await failure(Buffer.concat([packed, Buffer.from("garbage behind the end")]), step)).toBe("EBADMSG");
    }
  });

  test(`damaged ${format} is an error`, async () => {
    const packed = Buffer.from(await collect(compress(pieces(text, 100_001), format)));
    const middle = packed.length >> 1;
    packed.fill(0x55, middle, middle + 64);
    expect(await failure(packed, 64 << 10)).toBe("EBADMSG");
  });
}

test("I70, I71, I72: formats are recognised by their first bytes", () => {
  const heads: Record<string, Compression> = {
    "1f8b08000000": "gzip",
    fd377a585a00: "xz",
    "425a68393141": "bzip2",
    "425a68311772": "bzip2",
    // Names of files: "BZh1.txt", "BZhang".
    "425a68312e74": "uncompressed",
    "425a68616e67": "uncompressed",
    "28b52ffd2400": "zstd",
    "04224d186440": "lz4",
    "02214c18ffff": "uncompressed",
    "04224d18": "uncompressed",
  };
  for (const [head, compression] of Object.entries(heads)) {
    expect([head, detectCompression(Buffer.from(head, "hex"))]).toEqual([head, compression]);
  }
});

test("zstd data that needs a dictionary is named so", async () => {
  const packed = zstdCompressSync(text);
  // The descriptor of the frame, and the number of a dictionary after it: the window's descriptor comes first.
  const isSingle = ((packed[4] as number) & 0x20) !== 0;
  const at = isSingle ? 5 : 6;
  const withNumber = Buffer.concat([packed.subarray(0, at), Buffer.from([7]), packed.subarray(at)]);
  withNumber[4] = (withNumber[4] as number) | 1;
  await expect(collect(decompress(pieces(withNumber, 1000)))).rejects.toThrow("(zstd) needs a dictionary");
});

test("a missing program for a format is reported with the package to install", () => {
  for (const [format, what] of [
    ["xz", "Install xz-utils or xz "],
    ["bzip2", "Install bzip2, or lbzip2"],
    ["lz4", "Install lz4 "],
  ] as const) {
    expect(() => findProgram(format, "/nonexistent")).toThrow(`This host has no program for ${format} data. ${what}`);
  }
});

test("compressed gzip data is a single member that Bun's gunzip decompresses, for all sizes around a block", async () => {
  for (const size of [0, 1, (512 << 10) - 1, 512 << 10, (512 << 10) + 1, 1 << 20, 3_000_000]) {
    const bytes = Buffer.alloc(size, "abcdefg\n1234");
    const packed = await collect(compress(pieces(bytes, 77_777), "gzip"));
    expect(Buffer.from(Bun.gunzipSync(new Uint8Array(packed))).equals(bytes)).toBe(true);
    expect(packed.subarray(1).indexOf(Buffer.from([0x1f, 0x8b, 8]))).toBe(-1);
  }
});

test("skippable frames in zstd streams are ignored", async () => {
  const skipped = Buffer.from("502a4d1804000000deadbeef", "hex");
  const packed = Buffer.concat([zstdCompressSync(text), skipped, zstdCompressSync(text)]);
  expect((await collect(decompress(pieces(packed, 999)))).length).toBe(2 * text.length);
});

test("a zstd stream that needs too much memory is refused with that reason", async () => {
  // Magic number, frame descriptor, window descriptor, and the header of a last empty block.
  const frame = (log: number) => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 1, 0, 0]);
  expect(await collect(decompress(pieces(frame(27), 9)))).toEqual(Buffer.alloc(0));
  await expect(collect(decompress(pieces(frame(31), 9)))).rejects.toThrow(
    "needs a window of 2G, and 128M is the limit",
  );
});

test("the window of a zstd frame in a single segment is limited as well", async () => {
  // Magic number, descriptor of a single segment, its size in four bytes, and the header of a last empty block.
  const frame = (size: number) => {
    const bytes = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0, 1, 0, 0]);
    bytes.writeUInt32LE(size, 5);
    return bytes;
  };
  expect([1000, 32 << 20, 64 << 20].map((size) => needsMuchMemory(frame(size)))).toEqual([false, false, true]);
  expect(needsMuchMemory(frame(64 << 20).subarray(0, 8))).toBe(false);
  await expect(collect(decompress(pieces(frame(200 << 20), 12)))).rejects.toThrow("needs a window of 200M");
});

/** ZSTD_c_windowLog (zstd.h). */
const ZSTD_C_WINDOW_LOG = 101;

/** A stream without a content size, with a window of so many bits. */
async function packedWith(windowLog: number, content: Buffer): Promise<Buffer> {
  const stream = createZstdCompress({ params: { [ZSTD_C_WINDOW_LOG]: windowLog } });
  stream.end(content);
  return Buffer.concat(await stream.toArray());
}

test.skipIf(!havePrograms("zstd with a large window", "zstd"))(
  "I136: a zstd stream with a large window takes none of the worker's memory",
  async () => {
    const content = Buffer.concat([randomBytes(3 << 20), text]);
    const packed = await packedWith(27, content);
    expect(needsMuchMemory(packed)).toBe(true);
    expect(needsMuchMemory(await packedWith(25, content))).toBe(false);
    expect(needsMuchMemory(zstdCompressSync(content))).toBe(false);
    using spawn = spyOn(Bun, "spawn");
    expect((await collect(decompress(pieces(await packedWith(25, content), 65_536)))).equals(content)).toBe(true);
    expect(spawn).not.toHaveBeenCalled();
    expect((await collect(decompress(pieces(packed, 65_536)))).equals(content)).toBe(true);
    expect(spawn).toHaveBeenCalledTimes(1);
    const cut = packed.subarray(0, packed.length - 10);
    await expect(collect(decompress(pieces(cut, 65_536)))).rejects.toThrow("damaged or truncated");
  },
);

test.skipIf(!havePrograms("several zstd streams", "zstd"))(
  "I136: the windows of several zstd streams at a time take as little of the worker's memory as that of one",
  async () => {
    const skippable = Buffer.from("502a4d1803000000616263", "hex");
    for (const [windowLog, programs] of [
      [22, 0],
      [23, 3],
      [25, 4],
      [22, 0],
    ] as const) {
      using spawn = spyOn(Bun, "spawn");
      spawn.mockClear();
      const packed = Buffer.concat([skippable, await packedWith(windowLog, text)]);
      const streams = Array.from({ length: 5 }, () => decompress(pieces(packed, 65_536))[Symbol.asyncIterator]());
      const begun: Buffer[] = [];
      for (const stream of streams) begun.push(Buffer.from((await stream.next()).value));
      expect(spawn).toHaveBeenCalledTimes(programs);
      for (const [index, stream] of streams.entries()) {
        const rest = await collect({ [Symbol.asyncIterator]: () => stream });
        expect(Buffer.concat([begun[index] as Buffer, rest]).equals(text)).toBe(true);
      }
    }
  },
);

test.skipIf(!havePrograms("several programs", "zstd"))(
  "several streams that programs decode at a time do not wait for each other's threads",
  async () => {
    const content = Buffer.concat(Array.from({ length: 4 }, () => randomBytes(1 << 20)));
    const packed = await packedWith(27, content);
    const unpacked = await Promise.all([1, 2, 3, 4, 5].map(() => collect(decompress(pieces(packed, 65_536)))));
    expect(unpacked.every((one) => one.equals(content))).toBe(true);
  },
);

test.skipIf(!havePrograms("zstd with a large window in a later frame", "zstd"))(
  "I136: a large window in a later frame of a zstd stream takes none of the worker's memory either",
  async () => {
    const large = await packedWith(27, text);
    const small = zstdCompressSync(text);
    const skippable = Buffer.from("502a4d1803000000616263", "hex");
    for (const [frames, programs] of [
      [[small, large], 1],
      [[small, skippable, small, large, small, large], 1],
      [[skippable, large, small], 1],
      [[small, skippable, small], 0],
    ] as const) {
      const content = Buffer.concat(frames.filter((frame) => frame !== skippable).map(() => text));
      const packed = Buffer.concat(frames);
      for (const size of [packed.length, 64, 7]) {
        using spawn = spyOn(Bun, "spawn");
        spawn.mockClear();
        expect((await collect(decompress(pieces(packed, size)))).equals(content)).toBe(true);
        expect(spawn).toHaveBeenCalledTimes(programs);
      }
    }
    for (const cut of [1, large.length - 6, large.length - 3]) {
      const packed = Buffer.concat([small, large.subarray(0, large.length - cut)]);
      await expect(collect(decompress(pieces(packed, 100)))).rejects.toThrow("damaged or truncated");
    }
  },
);

test("data without a known magic number counts as uncompressed", async () => {
  for (const bytes of [
    Buffer.from("x"),
    Buffer.from("plain text of a file"),
    brotliCompressSync("x"),
    gzipSync("x").subarray(0, 5),
  ]) {
    expect((await collect(decompress(pieces(bytes, 3)))).equals(bytes)).toBe(true);
  }
});

test("no program keeps running when the consumer stops early", async () => {
  for (const format of formats) {
    const packed = await collect(compress(pieces(Buffer.alloc(8 << 20, "xyz"), 1 << 20), format));
    for await (const chunk of decompress(pieces(packed, 1 << 16))) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
  }
  const running = () =>
    Bun.spawnSync(["pgrep", "-P", `${process.pid}`, "-r", "R,S,D", "-x", Object.values(program).join("|")]).exitCode ===
    0;
  await waitFor(() => expect(running()).toBe(false), "the programs to end");
});

test.skipIf(!formats.includes("xz"))(
  "a program that is killed does not make the data damaged, and compressing fails as well",
  async () => {
    async function* killing(bytes: Buffer): AsyncGenerator<Buffer> {
      yield bytes.subarray(0, bytes.length >> 1);
      const child = await waitFor(() => {
        const { exitCode, stdout } = Bun.spawnSync(["pgrep", "-P", `${process.pid}`, "-r", "R,S,D", "-x", "xz"]);
        if (exitCode !== 0) throw new Error("there is no xz");
        return Number(stdout.toString());
      }, "the program");
      process.kill(child, "SIGKILL");
      yield bytes.subarray(bytes.length >> 1);
    }
    const content = randomBytes(256 << 10);
    const packed = await collect(compress(pieces(content, 1 << 16), "xz"));
    for (const chunks of [decompress(killing(packed)), compress(killing(content), "xz")]) {
      const error = await collect(chunks).then(
        () => null,
        (error: Error) => error,
      );
      expect(error).toMatchObject({
        errnoName: "EIO",
        message: expect.stringContaining("was ended by SIGKILL; the kernel"),
      });
    }
  },
);

test("the suffix of a file name selects the compression", () => {
  const names: Record<string, Compression> = {
    "a.tar.gz": "gzip",
    "a.tgz": "gzip",
    "a.raw.xz": "xz",
    "a.bz2": "bzip2",
    "a.zst": "zstd",
    "a.lz4": "lz4",
    "a.raw": "uncompressed",
  };
  for (const [name, compression] of Object.entries(names)) expect(compressionOfName(name)).toBe(compression);
});

const SKIPPABLE = Buffer.concat([Buffer.from("5a2a4d1805000000", "hex"), Buffer.from("other")]);

for (const format of formats.filter((one) => one === "zstd" || one === "lz4")) {
  test(`${format} after skippable frames, as pzstd writes them, is recognised and decompressed`, async () => {
    const packed = await collect(compress(pieces(text, 100_001), format));
    const bytes = Buffer.concat([SKIPPABLE, SKIPPABLE, packed]);
    expect(detectCompression(bytes)).toBe(format);
    expect(detectCompression(bytes.subarray(0, 6))).not.toBe("uncompressed");
    for (const step of [1, 7, 64 << 10]) {
      if (step < 10 && bytes.length > 200_000) continue;
      expect((await collect(decompress(pieces(bytes, step)))).equals(text)).toBe(true);
    }
  });
}

async function packedByXz(dictionary: string): Promise<Buffer> {
  const child = Bun.spawn(["xz", "-c", `--lzma2=preset=0,mf=hc3,dict=${dictionary}`], { stdin: text, stdout: "pipe" });
  return Buffer.from(await new Response(child.stdout).bytes());
}

test.skipIf(!havePrograms("xz with a large dictionary", "xz"))(
  "xz with a dictionary of 128 MiB is decompressed; a larger dictionary is an error that says so",
  async () => {
    expect((await collect(decompress(pieces(await packedByXz("128MiB"), 1000)))).equals(text)).toBe(true);
    const larger = await packedByXz("192MiB");
    const reading = collect(decompress(pieces(larger, 1000)));
    expect(await reading.then(() => "read", String)).toContain("needs a dictionary of more than 128M");
    expect(await failure(larger)).toBe("EFBIG");
  },
);
