// The source of a copy is locked: otherwise `machinectl clean` during a pull from a cached download would remove files
// one by one, and an incomplete tree would become the image; layers could be removed before the stack that refers to
// them.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { openPath } from "../../src/kernel/file/fd.ts";
import { lockWhole } from "../../src/kernel/file/lock.ts";
import { isErrno } from "../../src/kernel/syscall/sys.ts";
import { copyTree } from "../../src/kernel/tree/copy.ts";
import { removeImage } from "../../src/registry/image/change.ts";
import { cleanPool } from "../../src/registry/image/clean.ts";
import type { Image } from "../../src/registry/image/image.ts";
import { HeldImage } from "../../src/registry/image/lock.ts";
import { ImageSearch } from "../../src/registry/image/search.ts";
import { isRoot, scratchDirectory } from "../kernel/support.ts";
import { needsRoot } from "../lib/daemon.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { count, filesIn, finished, ImageHost } from "./image-host.ts";
import { digestOf, layerOf, ociImage, publishOci, registryRules } from "./oci-support.ts";
import { FaultyServer } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const MEMBERS = 1500;

describe.skipIf(!isRoot)(`the source of a copy is locked${needsRoot}`, () => {
  const server = new FaultyServer();
  const members = Array.from({ length: MEMBERS }, (_, i) => ({ name: `f${i}`, data: `content of ${i}` }));
  server.pages["t.tar.gz"] = { body: gzipSync(archive(...members)), headers: { ETag: '"t"' } };

  const clean = (host: ImageHost) => cleanPool(host.layout, new ImageSearch(host.layout.searchPath), "hidden");
  const imageOf = (host: ImageHost, name: string) => new ImageSearch(host.layout.searchPath).find(name) as Image;

  test("a clean during a pull from a cached download does not remove it, and the image is complete", async () => {
    const host = new ImageHost("/dev/shm");
    const pull = (name: string) => ["tar", "--verify=no", "--settings=no", server.url("t.tar.gz"), name];
    expect((await host.run("systemd-pull", pull("first"))).code).toBe(0);
    const child = host.start("systemd-pull", pull("second"));
    const end = finished(child);
    let cleaned = 0;
    while (child.exitCode === null) {
      const stage = host.entries().find((name) => /^\.#tar/.test(name));
      if (stage !== undefined && count(join(host.pool, stage)) > 0) {
        cleaned++;
        // The pull may have ended between the two checks.
        if (clean(host).length > 0) expect(filesIn(join(host.pool, "second"))).toBe(MEMBERS);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect([cleaned > 0, (await end).code]).toEqual([true, 0]);
    expect(filesIn(join(host.pool, "second"))).toBe(MEMBERS);
    clean(host);
    expect(host.entries()).toEqual(["first", "second"]);
    expect(host.lockFiles()).toEqual([]);
  });

  test("a cached download that is being removed when a pull starts is downloaded again", async () => {
    const host = new ImageHost("/dev/shm");
    const pull = (name: string) => ["tar", "--verify=no", "--settings=no", server.url("t.tar.gz"), name];
    expect((await host.run("systemd-pull", pull("first"))).code).toBe(0);
    const [kept = ""] = host.entries();
    using _removal = host.lockAsMachine(join(host.pool, kept));
    const { code, log } = await host.run("systemd-pull", pull("second"));
    expect([code, log]).toEqual([0, expect.stringContaining("is in use, not replacing it.")]);
    expect(filesIn(join(host.pool, "second"))).toBe(MEMBERS);
  });

  test("an image that is made of a download that cannot be kept is not read-only, and neither are its settings", async () => {
    const host = new ImageHost("/dev/shm");
    // Without a tag, the second download is to replace the first one, which is being copied.
    server.pages["d.raw"] = { body: Buffer.alloc(8192, 7) };
    server.pages["d.nspawn"] = { body: "[Exec]\n" };
    const pull = (name: string) => ["raw", "--verify=no", "--force", server.url("d.raw"), name];
    expect((await host.run("systemd-pull", pull("first"))).code).toBe(0);
    const kept = host.entries().find((name) => name.startsWith(".raw-") && name.endsWith(".raw")) ?? "";
    using _copy = HeldImage.open(host.locks, join(host.pool, kept), "read");
    const { code, log } = await host.run("systemd-pull", pull("second"));
    expect([code, log]).toEqual([0, expect.stringContaining("is in use, not replacing it.")]);
    const modes = ["first.raw", "first.nspawn", "second.raw", "second.nspawn"].map(
      (name) => statSync(join(host.pool, name)).mode & 0o777,
    );
    expect(modes).toEqual([0o644, 0o644, 0o644, 0o644]);
  });

  for (const stack of ["yes", "no"]) {
    test(`layers are locked until the image that is made of them is complete (stack: ${stack})`, async () => {
      const host = new ImageHost("/dev/shm");
      const [lower, upper] = [layerOf({ name: "etc/a", data: "a" }), layerOf({ name: "etc/b", data: "b" })];
      const env = { MACHINED_OCI_REGISTRIES: registryRules(host.path, server), MACHINED_OCI_STACK: stack };
      const reference = publishOci(server, "one", ociImage([lower]));
      expect((await host.run("systemd-pull", ["oci", reference, "-"], env)).code).toBe(0);
      const whole = publishOci(server, "two", ociImage([lower, upper]));
      const asked = Promise.withResolvers<void>();
      const released = Promise.withResolvers<void>();
      server.pages[`v2/two/blobs/${digestOf(upper.bytes)}`] = {
        answer: async () => {
          asked.resolve();
          await released.promise;
          return new Response(upper.bytes);
        },
      };
      const child = host.start("systemd-pull", ["oci", whole, "made"], env);
      const end = finished(child);
      await asked.promise;
      expect(clean(host)).toEqual([]);
      released.resolve();
      const { code, log } = await end;
      expect([code, log]).toEqual([0, expect.stringContaining("Created new local image 'made'.")]);
      const files = (index: number, name: string) =>
        stack === "yes" ? `made.mstack/layer@${index}/etc/${name}` : `made/etc/${name}`;
      expect(readFileSync(join(host.pool, files(0, "a")), "utf8")).toBe("a");
      expect(readFileSync(join(host.pool, files(1, "b")), "utf8")).toBe("b");
      expect(clean(host).length).toBe(stack === "yes" ? 0 : 2);
      expect(host.lockFiles()).toEqual([]);
    });
  }

  test("a layer that became part of a stack before its removal had locked it is not removed", () => {
    const host = new ImageHost();
    mkdirSync(join(host.pool, ".oci-sha256:aa/etc"), { recursive: true });
    const layer = imageOf(host, ".oci-sha256:aa");
    expect(() => removeImage(host.layout, layer, () => true)).toThrow("Device or resource busy");
    expect(host.entries()).toEqual([".oci-sha256:aa"]);
    mkdirSync(join(host.pool, "s.mstack"));
    symlinkSync("../.oci-sha256:aa", join(host.pool, "s.mstack/layer@0"));
    expect(clean(host)).toEqual([]);
    rmSync(join(host.pool, "s.mstack"), { recursive: true });
    expect(clean(host).length).toBe(1);
  });

  test("an image cannot be removed while it is cloned or exported, but machines may run from it", async () => {
    const host = new ImageHost("/dev/shm");
    const tree = join(host.pool, "source");
    mkdirSync(tree);
    for (let i = 0; i < MEMBERS; i++) writeFileSync(join(tree, `f${i}`), `content of ${i}`);
    using _machine = host.lockAsMachine(tree);
    const held = HeldImage.open(null, tree, "directory");
    const layout = { ...host.layout, locks: null };
    expect(() => removeImage(layout, imageOf(host, "source"))).toThrow("Device or resource busy");
    held[Symbol.dispose]();
    const fifo = join(host.path, "out");
    Bun.spawnSync(["mkfifo", fifo]);
    const exporting = host.start("systemd-export", ["tar", "source", fifo]);
    const reader = openPath(fifo, "read-write");
    const end = finished(exporting);
    await waitFor(() => expect(heldInodes()).toContain(statSync(tree).ino), "the export to begin");
    expect(() => removeImage(layout, imageOf(host, "source"))).toThrow("Device or resource busy");
    exporting.kill("SIGTERM");
    expect((await end).code).toBe(4);
    reader.close();
    expect(readdirSync(tree).length).toBe(MEMBERS);
    expect(statSync(fifo).isFIFO()).toBe(true);
  });

  test("an export of a tree that is being replaced or removed fails and says so", async () => {
    const host = new ImageHost("/dev/shm");
    const tree = join(host.pool, "source");
    mkdirSync(tree);
    using removed = openPath(tree, "directory");
    expect(lockWhole(removed)).toBe(true);
    const { code, log } = await host.run("systemd-export", ["tar", "source", join(host.path, "out")]);
    expect([code, log]).toEqual([1, expect.stringContaining(`'${tree}' is being replaced or removed.`)]);
  });

  test("an operation fails when a program that ignores locks has removed its source", () => {
    const host = new ImageHost();
    const tree = join(host.pool, "source");
    mkdirSync(tree);
    using held = HeldImage.open(host.locks, tree, "directory");
    held.requireThere();
    rmSync(tree, { recursive: true });
    expect(() => held.requireThere()).toThrow("No such file or directory");
    expect(() => HeldImage.open(host.locks, tree, "directory")).toThrow("No such file or directory");
    expect(existsSync(tree)).toBe(false);
  });
});

/** The inodes on which a process holds a flock(2). */
function heldInodes(): number[] {
  const rows = readFileSync("/proc/locks", "latin1").matchAll(/FLOCK .*:(\d+) 0 EOF$/gm);
  return [...rows].map(([, inode]) => Number(inode));
}

describe("a file that is removed before it is copied", () => {
  const directory = scratchDirectory();

  /** Copies a tree from which files are removed after the first report of progress. */
  function copyShrinking(name: string, isWhole: boolean): number | string {
    const [source, target] = [join(directory, name), join(directory, `${name}-copy`)];
    for (const path of [source, target]) mkdirSync(path);
    for (let i = 0; i < 2000; i++) writeFileSync(join(source, `f${i}`), "");
    const onProgress = () => {
      for (const file of readdirSync(source)) rmSync(join(source, file));
    };
    using from = openPath(source, "directory");
    using to = openPath(target, "directory");
    try {
      copyTree(from, to, { isWhole, onProgress });
      return readdirSync(target).length;
    } catch (error) {
      return isErrno(error, "ENOENT") ? "ENOENT" : String(error);
    }
  }

  test("is skipped where the source is in use by others, and an error where the source is locked", () => {
    expect(copyShrinking("live", false)).toBeLessThan(2000);
    expect(copyShrinking("held", true)).toBe("ENOENT");
  });
});
