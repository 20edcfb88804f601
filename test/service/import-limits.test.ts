// The memory that hostile archives take, and exports that are imported again, with real worker processes.
import { expect, setDefaultTimeout } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { rootTest } from "../kernel/support.ts";
import { describeTree, makeEverything, run } from "../kernel/tree-support.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { type BuiltMember, END, member } from "../unit/worker/archive-builder.ts";
import { entries, runWorker, Scratch } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const MAIN = join(import.meta.dir, "../../src/main.ts");
const LIMIT_BYTES = 200_000_000;
const scratch = new Scratch();

/** Imports an archive; returns the worker's peak of memory, its status and its log. */
async function measured(bytes: Buffer): Promise<{ peakBytes: number; code: number; log: string; root: string }> {
  const root = scratch.root();
  const file = join(scratch.path, "archive.tar.gz");
  writeFileSync(file, bytes);
  const command = [process.execPath, MAIN, "systemd-import", "tar", "--sync=no", `--image-root=${root}`, file, "m"];
  const child = Bun.spawn(["python3", "-c", MEASURE, ...command], { stdio: ["ignore", "pipe", "pipe"] });
  const [stdout, log] = await Promise.all([new Response(child.stdout).text(), child.stderr.text()]);
  const [code = Number.NaN, kilobytes = Number.NaN] = stdout.split(" ").map(Number);
  return { peakBytes: kilobytes * 1024, code, log, root };
}

/**
 * Runs a command, forked from a small process: the kernel counts a process that was forked from a large one as large.
 */
const MEASURE = `
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
`;

function many(count: number, make: (index: number) => BuiltMember): Buffer {
  return Buffer.concat([...Array.from({ length: count }, (_, index) => member(make(index))), END]);
}

const VALUE = Buffer.alloc(60_000, "v");
const ATTRIBUTES = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`SCHILY.xattr.user.${index}`, VALUE]));
const LIST = "user::rwx,user:nobody-knows:r-x,group::r-x,mask::r-x,other::---";

const HOSTILE: Readonly<Record<string, { bytes: () => Buffer; code: number; says: string }>> = {
  "attributes of megabytes at each directory": {
    bytes: () => many(100, (index) => ({ name: `d${index}`, type: "5", pax: ATTRIBUTES })),
    code: 0,
    says: "'user.*' cannot be kept here",
  },
  "very many access control lists with names of users": {
    bytes: () => {
      const one = `${LIST},${Array.from({ length: 900 }, (_, index) => `user:u${index}:rwx`).join(",")}`;
      return many(3_500, (index) => ({ name: `f${index}`, pax: { "SCHILY.acl.access": one } }));
    },
    code: 1,
    says: "The access control lists of the archive need more memory than allowed",
  },
};

for (const [name, { bytes, code, says }] of Object.entries(HOSTILE)) {
  rootTest(`${name} take no more memory than the limit of a worker`, async () => {
    const result = await measured(gzipSync(bytes(), { level: 1 }));
    expect([result.code, result.log]).toEqual([code, expect.stringContaining(says)]);
    expect(result.peakBytes).toBeLessThan(LIMIT_BYTES);
    expect(entries(result.root)).toEqual(code === 0 ? ["m"] : []);
  });
}

const SUFFIXES = ["", ".gz", ".xz", ".zst", ".bz2"] as const;

for (const suffix of SUFFIXES) {
  rootTest(
    `I118, I122: a tree with everything is the same after an export to .tar${suffix} and an import`,
    async () => {
      const root = scratch.root();
      const source = join(root, "source");
      makeEverything(source);
      run("sync", "-f", source);
      const file = join(scratch.path, `export.tar${suffix}`);
      const exported = await runWorker("systemd-export", ["tar", `--image-root=${root}`, source, file]);
      expect([exported.code, exported.log]).toEqual([0, expect.stringContaining("Socket './socket' is left out")]);
      rmSync(join(source, "socket"));
      run("touch", "-d", "@1400000000.000000001", source);
      const imported = await runWorker("systemd-import", ["tar", `--image-root=${root}`, file, "again"]);
      expect([imported.code, imported.log]).toEqual([0, expect.any(String)]);
      const [before, after] = [source, join(root, "again")].map((path) => describeTree(path).split("\n"));
      // Removing the socket changed the time of the top directory, which touch(1) sets from another clock.
      expect((after ?? []).slice(1)).toEqual((before ?? []).slice(1));
    },
  );
}

rootTest("an export to a descriptor of the client names its kind in the log", async () => {
  const root = scratch.root();
  mkdirSync(join(root, "m/etc"), { recursive: true });
  const target = join(scratch.path, "client.tar");
  const child = Bun.spawn([process.execPath, MAIN, "systemd-export", "tar", `--image-root=${root}`, "m"], {
    stdio: ["ignore", Bun.file(target), "pipe"],
  });
  expect(await child.stderr.text()).toContain(`saving to '${target}'`);
  expect(await child.exited).toBe(0);
});

rootTest("a disk image of another format is refused with the format's name, compressed or not", async () => {
  for (const [name, bytes] of [
    ["disk.vmdk", Buffer.concat([Buffer.from("KDMV"), Buffer.alloc(8192)])],
    ["disk.vhdx.gz", gzipSync(Buffer.concat([Buffer.from("vhdxfile"), Buffer.alloc(8192)]))],
  ] as const) {
    const root = scratch.root();
    const file = join(scratch.path, name);
    writeFileSync(file, bytes);
    const { code, log } = await runWorker("systemd-import", ["raw", `--image-root=${root}`, file, "m"]);
    expect([code, log]).toEqual([1, expect.stringMatching(/Image is a (VMDK|VHDX) disk image/)]);
    expect(entries(root)).toEqual([]);
  }
});

rootTest("a disk image of less than four bytes is refused, compressed or not, and one of four is taken", async () => {
  const EMPTY = "Image is empty: ";
  const SHORT = "bytes only: ";
  for (const [name, bytes, says] of [
    ["disk.raw", "", EMPTY],
    ["disk.raw.gz", gzipSync(""), EMPTY],
    ["disk.raw", "A", SHORT],
    ["disk.raw", "AAA", SHORT],
    ["disk.raw.gz", gzipSync("AAA"), SHORT],
    ["disk.raw", "AAAA", null],
    ["disk.raw.gz", gzipSync("AAAA"), null],
  ] as const) {
    const root = scratch.root();
    const file = join(scratch.path, name);
    writeFileSync(file, bytes);
    const { code, log } = await runWorker("systemd-import", ["raw", `--image-root=${root}`, file, "m"]);
    expect([code, log]).toEqual(says === null ? [0, expect.any(String)] : [1, expect.stringContaining(says)]);
    expect(entries(root)).toEqual(says === null ? ["m.raw"] : []);
    const pulled = await runWorker("systemd-pull", [
      "raw",
      "--verify=no",
      `--image-root=${root}`,
      `file://${file}`,
      "p",
    ]);
    expect(pulled.code).toBe(says === null ? 0 : 1);
    expect(pulled.log).toContain(says ?? "");
    expect(entries(root).filter((entry) => !entry.startsWith("."))).toEqual(says === null ? ["m.raw", "p.raw"] : []);
  }
});
