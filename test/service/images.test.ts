// Images over D-Bus: a private daemon, with all images below a directory of the test. The ids are those of
// docs/conformance.md.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { FileLock } from "../../src/kernel/file/lock.ts";
import { errorOf, getProperty, isRoot, manager, needsRoot, object, TestDaemon } from "../lib/daemon.ts";
import { holdLock } from "../lib/held-lock.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { workersOf } from "../lib/workers.ts";

const MAX = 0xffff_ffff_ffff_ffffn;
const IMAGE = "org.freedesktop.machine1.Image";
const path = (label: string) => `/org/freedesktop/machine1/image/${label}`;

describe.skipIf(!isRoot)(`images${needsRoot}`, () => {
  const root = mkdtempSync(join(tmpdir(), "images-test-"));
  const pool = join(root, "var/lib/machines");
  const settings = join(root, "etc/systemd/nspawn");
  let daemon: TestDaemon;
  let bus: BusClient;

  const call = (member: string, signature = "", ...body: unknown[]) => manager(bus, member, signature, ...body);
  const fails = (member: string, signature = "", ...body: unknown[]) => errorOf(call(member, signature, ...body));

  function makeTree(name: string, files: Record<string, string> = {}): void {
    mkdirSync(join(pool, name, "etc"), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(pool, name, file), text);
  }

  function makeDisk(name: string, bytes = 1 << 20): void {
    writeFileSync(join(pool, `${name}.raw`), Buffer.alloc(bytes));
    // The file system may count blocks only after it has written them.
    Bun.spawnSync(["sync", join(pool, `${name}.raw`)]);
  }

  async function list(): Promise<Record<string, readonly unknown[]>> {
    const [rows] = (await call("ListImages")) as [readonly (readonly unknown[])[]];
    return Object.fromEntries(rows.map(([name, ...rest]) => [name, rest]));
  }

  beforeAll(async () => {
    daemon = await TestDaemon.start({ MACHINED_IMAGE_ROOT: root });
    bus = await daemon.bus();
  });

  beforeEach(() => {
    Bun.spawnSync(["sh", "-c", `chattr -R -i '${root}' 2>/dev/null; rm -rf '${root}'/*`]);
    for (const directory of [pool, settings]) mkdirSync(directory, { recursive: true });
  });

  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    Bun.spawnSync(["sh", "-c", `chattr -R -i '${root}' 2>/dev/null; rm -rf '${root}'`]);
  });

  test("M144: GetImage of an invalid name is NoSuchImage, all other methods refuse the name", async () => {
    expect(await fails("GetImage", "s", "a/b")).toBe("org.freedesktop.machine1.NoSuchImage: No image 'a/b' known");
    for (const [member, signature, ...rest] of [
      ["GetImageHostname", "s"],
      ["GetImageMachineID", "s"],
      ["GetImageMachineInfo", "s"],
      ["GetImageOSRelease", "s"],
      ["RemoveImage", "s"],
      ["RenameImage", "ss", "x"],
      ["CloneImage", "ssb", "x", false],
      ["MarkImageReadOnly", "sb", true],
      ["SetImageLimit", "st", 1n],
    ] as const) {
      const text = "InvalidArgs: Image name 'a/b' is invalid.";
      expect(await fails(member, signature, "a/b", ...rest)).toBe(text);
      const unknown = "org.freedesktop.machine1.NoSuchImage: No image 'nosuch' known";
      expect(await fails(member, signature, "nosuch", ...rest)).toBe(unknown);
    }
  });

  test("M145 M147 M148: the list has name, type, read-only, times, usage and path", async () => {
    makeTree("sp ace");
    makeDisk("disk");
    const images = await list();
    expect(["directory", "subvolume"]).toContain(images[".host"]?.[0] as string);
    expect(images[".host"]?.[1]).toBe(true);
    expect(images["sp ace"]).toEqual(["directory", false, expect.any(BigInt), 0n, MAX, path("sp_20ace")]);
    const usage = BigInt(statSync(join(pool, "disk.raw")).blocks) * 512n;
    expect(images["disk"]).toEqual(["raw", false, expect.any(BigInt), expect.any(BigInt), usage, path("disk")]);
  });

  test("an image whose file is of before 1970 is listed, and its time is not known", async () => {
    makeDisk("old");
    utimesSync(join(pool, "old.raw"), new Date(-1500), new Date(-1500));
    expect((await list())["old"]?.[3]).toBe(0n);
    expect(await getProperty(bus, path("old"), IMAGE, "ModificationTimestamp")).toBe(0n);
  });

  test("an image has an object with ten properties, which disappears when the image is removed", async () => {
    makeDisk("disk");
    expect((await call("GetImage", "s", "disk"))[0]).toBe(path("disk"));
    const [all] = await object(bus, path("disk"), "org.freedesktop.DBus.Properties", "GetAll", "s", IMAGE);
    const values = Object.fromEntries([...(all as Map<string, { value: unknown }>)].map(([k, v]) => [k, v.value]));
    expect(Object.keys(values)).toEqual([
      "Name",
      "Path",
      "Type",
      "ReadOnly",
      "CreationTimestamp",
      "ModificationTimestamp",
      "Usage",
      "Limit",
      "UsageExclusive",
      "LimitExclusive",
    ]);
    expect(values).toMatchObject({ Name: "disk", Path: join(pool, "disk.raw"), Type: "raw", Limit: 1n << 20n });
    await object(bus, path("disk"), IMAGE, "Remove");
    expect(await errorOf(getProperty(bus, path("disk"), IMAGE, "Name"))).toContain("UnknownObject");
  });

  test("M177: on other file systems than btrfs the pool is a directory without quota", async () => {
    const at = "/org/freedesktop/machine1";
    const property = (name: string) => getProperty(bus, at, "org.freedesktop.machine1.Manager", name);
    expect(await property("PoolPath")).toBe(pool);
    expect([await property("PoolUsage"), await property("PoolLimit")]).toEqual([MAX, MAX]);
  });

  test("M149 M151: images of the operating system, and the host, cannot be changed", async () => {
    const erofs = "System.Error.EROFS: Read-only file system";
    expect(await fails("RemoveImage", "s", ".host")).toBe(erofs);
    expect(await fails("MarkImageReadOnly", "sb", ".host", true)).toBe(erofs);
    expect(await fails("SetImageLimit", "st", ".host", 1n)).toBe(erofs);
    expect(await fails("RenameImage", "ss", ".host", "x")).toBe(
      "System.Error.EROFS: Failed to rename image: Read-only file system",
    );
  });

  test("M165: a hidden image cannot be made writable", async () => {
    makeTree(".hidden");
    expect(await fails("MarkImageReadOnly", "sb", ".hidden", false)).toBe("System.Error.EROFS: Read-only file system");
  });

  test("M152: a new name must be free and valid", async () => {
    makeTree("one");
    makeDisk("two");
    const prefix = "Failed to rename image: ";
    expect(await fails("RenameImage", "ss", "one", "two")).toBe(`FileExists: ${prefix}File exists`);
    expect(await fails("RenameImage", "ss", "one", ".host")).toBe(
      `System.Error.EBUSY: ${prefix}Device or resource busy`,
    );
    expect(await fails("RenameImage", "ss", "one", "a/b")).toContain("InvalidArgs: Image name 'a/b' is invalid.");
    await call("RenameImage", "ss", "one", "three");
    expect(readdirSync(pool).sort()).toEqual(["three", "two.raw"]);
  });

  test("a tree gets no name under which it would not be found; a disk may have it", async () => {
    makeTree("tree");
    makeDisk("disk");
    const before = Object.keys(await list());
    const varlink = await daemon.varlink();
    for (const name of ["new.v", "new.raw.v", "new.mstack", "new.mstack.v"]) {
      const refusal = `InvalidArgs: Image name '${name}' is invalid for a tree.`;
      expect(await fails("CloneImage", "ssb", "tree", name, false)).toBe(refusal);
      expect(await fails("RenameImage", "ss", "tree", name)).toBe(refusal);
      for (const member of ["Clone", "Update"]) {
        const called = varlink.call(`io.systemd.MachineImage.${member}`, { name: "tree", newName: name });
        expect(await called.catch(({ parameters }) => parameters)).toEqual({ parameter: "newName" });
      }
      await call("CloneImage", "ssb", "disk", name, false);
      await call("RemoveImage", "s", name);
      await call("RenameImage", "ss", "disk", name);
      await call("RenameImage", "ss", name, "disk");
    }
    expect(Object.keys(await list())).toEqual(before);
    expect(readdirSync(pool).filter((name) => !name.startsWith("."))).toEqual(["disk.raw", "tree"]);
  });

  test("M153: settings and root hashes are renamed with the image, and existing files of the new name are kept", async () => {
    makeDisk("one");
    writeFileSync(join(settings, "one.nspawn"), "[Exec]\n");
    for (const suffix of [".nspawn", ".roothash", ".verity"]) writeFileSync(join(pool, `one${suffix}`), suffix);
    writeFileSync(join(pool, "two.verity"), "mine");
    await call("RenameImage", "ss", "one", "two");
    expect(readdirSync(pool).sort()).toEqual(["one.verity", "two.nspawn", "two.raw", "two.roothash", "two.verity"]);
    expect(readFileSync(join(pool, "two.verity"), "utf8")).toBe("mine");
    expect(readdirSync(settings)).toEqual(["two.nspawn"]);
  });

  test("M154: a read-only clone of a tree is immutable, one of a disk has no write bit", async () => {
    makeTree("tree", { "etc/hostname": "x" });
    makeDisk("disk");
    await call("CloneImage", "ssb", "tree", "tree2", true);
    await call("CloneImage", "ssb", "disk", "disk2", true);
    await call("CloneImage", "ssb", "disk", "disk3", false);
    const { stdout } = Bun.spawnSync(["lsattr", "-d", join(pool, "tree2")]);
    expect(stdout.toString()).toMatch(/^-*i/);
    expect([statSync(join(pool, "disk2.raw")).mode & 0o777, statSync(join(pool, "disk3.raw")).mode & 0o777]).toEqual([
      0o444, 0o644,
    ]);
    const images = await list();
    expect([images["tree2"]?.[1], images["disk2"]?.[1], images["disk3"]?.[1]]).toEqual([true, true, false]);
    expect(images["disk2"]?.[2]).toBe(images["disk"]?.[2]);
    await call("RenameImage", "ss", "tree2", "tree3");
    expect((await list())["tree3"]?.[1]).toBe(true);
  });

  test("M155: a clone's name must be free", async () => {
    makeTree("one");
    makeTree("two");
    const exists = "FileExists: File exists";
    expect(await fails("CloneImage", "ssb", "one", "two", false)).toBe(exists);
    expect(await fails("CloneImage", "ssb", "one", ".host", false)).toBe("System.Error.EBUSY: Device or resource busy");
    expect(await fails("CloneImage", "ssb", "one", "a/b", false)).toContain("InvalidArgs");
  });

  test("M156: a clone is made in the pool, with its settings, from an original in any search directory", async () => {
    const etc = join(root, "etc/machines/one");
    mkdirSync(etc, { recursive: true });
    writeFileSync(join(root, "etc/machines/one.roothash"), "hash");
    writeFileSync(join(settings, "one.nspawn"), "[Exec]\n");
    await call("CloneImage", "ssb", "one", "two", false);
    expect(readdirSync(pool).sort()).toEqual(["two", "two.roothash"]);
    expect(readdirSync(settings).sort()).toEqual(["one.nspawn", "two.nspawn"]);
    expect(readFileSync(join(settings, "two.nspawn"), "utf8")).toBe("[Exec]\n");
  });

  test("the pool is created if it is missing", async () => {
    mkdirSync(join(root, "etc/machines/one"), { recursive: true });
    rmSync(pool, { recursive: true });
    await call("CloneImage", "ssb", "one", "two", false);
    expect(statSync(pool).mode & 0o777).toBe(0o700);
    expect(readdirSync(pool)).toEqual(["two"]);
  });

  test("a clone of a tree that contains the pool has an empty pool: it never contains itself", async () => {
    const around = join(root, "etc/machines");
    mkdirSync(around, { recursive: true });
    symlinkSync(join(root, "var"), join(around, "var"));
    makeTree("inside");
    await call("CloneImage", "ssb", "var", "copy", false);
    expect(readdirSync(join(pool, "copy/lib/machines"))).toEqual([]);
  });

  test("M157: an immutable tree can be removed", async () => {
    makeTree("one", { "etc/hostname": "x" });
    await call("MarkImageReadOnly", "sb", "one", true);
    expect((await list())["one"]?.[1]).toBe(true);
    await call("RemoveImage", "s", "one");
    expect(readdirSync(pool)).toEqual([]);
  });

  test("a removal includes settings and companion files, and of an image that is a link removes only the link", async () => {
    makeTree("one");
    writeFileSync(join(pool, "one.nspawn"), "");
    writeFileSync(join(settings, "one.nspawn"), "");
    await call("RemoveImage", "s", "one");
    expect([...readdirSync(pool), ...readdirSync(settings)]).toEqual([]);
    const [target, links] = [join(root, "srv/tree"), join(root, "etc/machines")];
    mkdirSync(target, { recursive: true });
    mkdirSync(links, { recursive: true });
    symlinkSync(target, join(links, "linked"));
    await call("RemoveImage", "s", "linked");
    expect([existsSync(target), readdirSync(links)]).toEqual([true, []]);
  });

  test("M154 M148: marking a disk image changes its write bits", async () => {
    makeDisk("disk");
    const mode = () => statSync(join(pool, "disk.raw")).mode & 0o777;
    chmodSync(join(pool, "disk.raw"), 0o640);
    await call("MarkImageReadOnly", "sb", "disk", true);
    expect(mode()).toBe(0o440);
    await call("MarkImageReadOnly", "sb", "disk", false);
    expect(mode()).toBe(0o640);
  });

  test("M158 C66: changes of a locked image, and reading its content, fail with EBUSY", async () => {
    makeTree("one", { "etc/hostname": "x" });
    const { dev, ino } = statSync(join(pool, "one"), { bigint: true });
    const locks = join(root, "run/systemd/nspawn/locks");
    mkdirSync(locks, { recursive: true });
    {
      using _theirs = FileLock.take(join(locks, `inode-${dev}:${ino}`), "exclusive");
      const busy = "Device or resource busy";
      expect(await fails("RemoveImage", "s", "one")).toBe(`System.Error.EBUSY: ${busy}`);
      expect(await fails("MarkImageReadOnly", "sb", "one", true)).toBe(`System.Error.EBUSY: ${busy}`);
      expect(await fails("RenameImage", "ss", "one", "two")).toBe(
        `System.Error.EBUSY: Failed to rename image: ${busy}`,
      );
      expect(await fails("GetImageHostname", "s", "one")).toBe(
        `System.Error.EBUSY: Failed to read image metadata: ${busy}`,
      );
      expect((await call("CleanPool", "s", "all"))[0]).toEqual([]);
      await call("CloneImage", "ssb", "one", "clone", false);
    }
    expect((await call("GetImageHostname", "s", "one"))[0]).toBe("x");
    expect(readdirSync(locks)).toEqual([]);
    expect(readdirSync(pool).sort()).toEqual(["clone", "one"]);
  });

  test("M159: limits are for subvolumes, and within the numbers that a limit can have", async () => {
    makeTree("one");
    makeDisk("two");
    const unsupported = "NotSupported: Operation not supported";
    for (const name of ["one", "two"]) expect(await fails("SetImageLimit", "st", name, 1000n)).toBe(unsupported);
    const range = "InvalidArgs: New limit out of range";
    for (const bytes of [MAX - 1n, 1n << 63n]) {
      expect(await fails("SetImageLimit", "st", "one", bytes)).toBe(range);
      expect(await fails("SetPoolLimit", "t", bytes)).toBe(range);
    }
  });

  test("M160: the pool has a limit on btrfs only", async () => {
    expect(await fails("SetPoolLimit", "t", 1n << 30n)).toBe("NotSupported: Quota is only supported on btrfs.");
  });

  test("M161 M162: cleaning removes hidden images or all, and returns what it removed", async () => {
    makeTree(".hidden");
    makeTree("shown");
    makeDisk("disk");
    expect(await fails("CleanPool", "s", "bogus")).toBe("InvalidArgs: Unknown mode 'bogus'.");
    expect((await call("CleanPool", "s", "hidden"))[0]).toEqual([[".hidden", MAX]]);
    expect(((await call("CleanPool", "s", "all"))[0] as unknown[]).length).toBe(2);
    expect(readdirSync(pool)).toEqual([]);
  });

  test("cleaning hidden images keeps the layers of a stack, and removes other layers", async () => {
    for (const name of [".oci-sha256:used", ".oci-sha256:unused"]) makeTree(name);
    mkdirSync(join(pool, "web.mstack/rw"), { recursive: true });
    symlinkSync("../.oci-sha256:used", join(pool, "web.mstack/layer@0"));
    symlinkSync("/etc", join(pool, "web.mstack/layer@1"));
    expect((await call("CleanPool", "s", "hidden"))[0]).toEqual([[".oci-sha256:unused", MAX]]);
    expect(readdirSync(pool).sort()).toEqual([".oci-sha256:used", "web.mstack"]);
    await call("RemoveImage", "s", "web");
    await call("CleanPool", "s", "hidden");
    expect(readdirSync(pool)).toEqual([]);
  });

  test("cleaning continues after an image that cannot be removed, and the error names it", async () => {
    for (const name of ["a", "b", "c"]) makeTree(name);
    Bun.spawnSync(["mount", "-t", "tmpfs", "tmpfs", join(pool, "b")]);
    try {
      expect((await call("CleanPool", "s", "all"))[0]).toHaveLength(2);
      expect(readdirSync(pool)).toEqual(["b"]);
    } finally {
      Bun.spawnSync(["umount", "-l", join(pool, "b")]);
    }
  });

  test("M163: hostname, machine id, machine info and OS release of a tree are read, by the manager and the image's object", async () => {
    makeTree("one", {
      "etc/hostname": "hostx\n",
      "etc/machine-id": `${"ab".repeat(16)}\n`,
      "etc/os-release": "ID=t\n",
    });
    makeTree("empty");
    expect((await call("GetImageHostname", "s", "one"))[0]).toBe("hostx");
    const [id] = await object(bus, path("one"), IMAGE, "GetMachineID");
    expect(Buffer.from(id as Uint8Array).toString("hex")).toBe("ab".repeat(16));
    const [release] = await object(bus, path("one"), IMAGE, "GetOSRelease");
    expect([...(release as Map<string, string>)]).toEqual([["ID", "t"]]);
    expect((await call("GetImageHostname", "s", "empty"))[0]).toBe("");
    expect((await call("GetImageMachineID", "s", "empty"))[0]).toHaveLength(0);
    expect((await call("GetImageMachineInfo", "s", "empty"))[0]).toEqual(new Map());
  });

  test("M163: hostname and OS release of a disk image are read", async () => {
    makeTree("one", { "etc/hostname": "in-a-disk\n", "etc/os-release": "ID=t\n" });
    writeFileSync(join(pool, "disk.raw"), Buffer.alloc(8 << 20));
    Bun.spawnSync(["mkfs.ext4", "-q", "-d", join(pool, "one"), join(pool, "disk.raw")]);
    expect((await call("GetImageHostname", "s", "disk"))[0]).toBe("in-a-disk");
    // Simultaneous calls share one reading.
    const all = await Promise.all(Array.from({ length: 20 }, () => call("GetImageOSRelease", "s", "disk")));
    for (const [release] of all) expect([...(release as Map<string, string>)]).toEqual([["ID", "t"]]);
  });

  test("M164: an invalid disk image is reported as an error that names it", async () => {
    makeDisk("zeros");
    writeFileSync(join(pool, "tiny.raw"), "x");
    for (const name of ["zeros", "tiny"]) {
      expect(await fails("GetImageHostname", "s", name)).toMatch(
        /^System\.Error\.ENOPKG: Failed to read image metadata: /,
      );
    }
  });

  test(
    "an operation that is killed leaves no files, and the daemon continues to work",
    async () => {
      writeFileSync(join(pool, "disk.raw"), Buffer.alloc(200 << 20, 1));
      const killClone = async (): Promise<string | null> => {
        const failed = fails("CloneImage", "ssb", "disk", "copy", false).catch(() => null);
        await waitFor(() => {
          if (existsSync(join(pool, "copy.raw"))) return;
          const [worker] = workersOf(daemon.pid);
          const hasBegun = readdirSync(pool).some((name) => name.startsWith(".#machined"));
          if (worker === undefined || !hasBegun) throw new Error("not yet");
          process.kill(worker, "SIGKILL");
        }, "the worker to begin");
        return failed;
      };
      // A clone that ended before its worker was killed is repeated.
      let error = await killClone();
      while (error === null) {
        await call("RemoveImage", "s", "copy");
        error = await killClone();
      }
      expect(error).toBe("System.Error.ESHUTDOWN: Child died abnormally.");
      await waitFor(() => {
        if (readdirSync(pool).length > 1) throw new Error(`left: ${readdirSync(pool)}`);
      }, "the leftovers to go");
      await call("CloneImage", "ssb", "disk", "copy", false);
      expect(readdirSync(pool).sort()).toEqual(["copy.raw", "disk.raw"]);
    },
    GUARD_MS,
  );

  test(
    "temporary files of an earlier daemon are removed when the next one starts, except those that a process uses",
    async () => {
      mkdirSync(join(pool, ".#machined-0123456789abcdef/deep"), { recursive: true });
      mkdirSync(join(pool, ".#machined-fedcba9876543210"));
      writeFileSync(join(pool, ".#other-program"), "");
      await using _held = await holdLock(join(pool, ".#machined-fedcba9876543210"));
      await daemon.kill();
      await daemon.run();
      bus = await daemon.bus();
      await waitFor(() => {
        if (existsSync(join(pool, ".#machined-0123456789abcdef"))) throw new Error("still there");
      }, "the leftovers to go");
      expect(readdirSync(pool).sort()).toEqual([".#machined-fedcba9876543210", ".#other-program"]);
    },
    GUARD_MS,
  );

  test(
    "lock files of killed processes are removed, too, and those of running ones stay",
    async () => {
      writeFileSync(join(pool, ".#gone.lck"), "");
      using _held = FileLock.take(join(pool, ".#used.lck"), "shared");
      await daemon.kill();
      await daemon.run();
      bus = await daemon.bus();
      await waitFor(() => expect(readdirSync(pool)).toEqual([".#used.lck"]), "the lock file to go");
    },
    GUARD_MS,
  );
});
