// Transfers take record locks on lock files, as containers and image tools do, so that an import with --force does not
// replace the tree of a running machine, and the sweep of one daemon does not remove locks of the other's transfers.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lockName } from "../../src/registry/image/lock.ts";
import { sweepAll } from "../../src/registry/image/sweep.ts";
import { isRoot } from "../kernel/support.ts";
import { needsRoot } from "../lib/daemon.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { finished, ImageHost } from "./image-host.ts";

setDefaultTimeout(GUARD_MS);

describe.skipIf(!isRoot)(`locks of images${needsRoot}`, () => {
  const host = new ImageHost();
  const packed = join(host.path, "new.tar");
  writeFileSync(packed, archive({ name: "./", type: "5", mode: 0o755 }, { name: "file", data: "new" }));
  const disk = join(host.path, "disk.raw");
  writeFileSync(disk, Buffer.alloc(1 << 20, 1));
  const tree = join(host.path, "tree");
  mkdirSync(tree);

  const forced: readonly [string, string, string[], string][] = [
    ["a tar import", "systemd-import", ["tar", "--force", packed, "web"], "web"],
    ["a raw import", "systemd-import", ["raw", "--force", disk, "web"], "web.raw"],
    ["the import of a directory", "systemd-import-fs", ["run", "--force", tree, "web"], "web"],
    ["a tar pull", "systemd-pull", ["tar", "--force", "--verify=no", `file://${packed}`, "web"], "web"],
    ["a raw pull", "systemd-pull", ["raw", "--force", "--verify=no", `file://${disk}`, "web"], "web.raw"],
    ["an import in place", "systemd-import", ["tar", "--force", "--direct", packed, join(host.pool, "web")], "web"],
    ["a raw import in place", "systemd-import", ["raw", "--direct", disk, join(host.pool, "web.raw")], "web.raw"],
  ];

  function makeImages(): void {
    mkdirSync(join(host.pool, "web"), { recursive: true });
    writeFileSync(join(host.pool, "web/root"), "of a running machine");
    writeFileSync(join(host.pool, "web.raw"), "of a running machine");
  }

  const contentOf = (entry: string) => readFileSync(join(host.pool, entry === "web" ? "web/root" : entry), "utf8");

  for (const [what, program, args, entry] of forced) {
    test.each([["beside"], ["inode"]] as const)(
      `${what} does not change the image of a running machine (%s lock)`,
      async (which) => {
        makeImages();
        using machine = host.lockAsMachine(join(host.pool, entry), [which]);
        const { code, log } = await host.run(program, args);
        expect([code, log]).toEqual([1, expect.stringContaining("in use")]);
        expect(contentOf(entry)).toBe("of a running machine");
        expect(machine.files.map((file) => existsSync(file))).toEqual([true]);
        expect(host.entries().filter((name) => name.startsWith(".#"))).toEqual([]);
      },
    );
  }

  test("a machine that starts from the image during the import keeps its tree", async () => {
    makeImages();
    const fifo = join(host.path, "fifo");
    Bun.spawnSync(["mkfifo", fifo]);
    const importing = host.start("systemd-import", ["tar", "--force", fifo, "web"]);
    const writer = Bun.spawn(["sh", "-c", `exec 3> "${fifo}"; read go; cat "${packed}" >&3`], { stdin: "pipe" });
    await host.staged("tar");
    using _machine = host.lockAsMachine(join(host.pool, "web"), ["inode"]);
    writer.stdin.write("go\n");
    await writer.stdin.end();
    const { code, log } = await finished(importing);
    expect([code, log]).toEqual([1, expect.stringContaining("Image 'web' is in use.")]);
    expect(contentOf("web")).toBe("of a running machine");
    expect(host.entries()).toEqual(["web", "web.raw"]);
  });

  test("an image without a running machine is replaced, and no lock file stays", async () => {
    makeImages();
    expect((await host.run("systemd-import", ["tar", "--force", packed, "web"])).code).toBe(0);
    expect(readdirSync(join(host.pool, "web"))).toEqual(["file"]);
    expect(host.lockFiles()).toEqual([]);
  });

  test("a sweep does not remove the locks of a running transfer, which prevent another one", async () => {
    const fifo = join(host.path, "fifo2");
    Bun.spawnSync(["mkfifo", fifo]);
    const importing = host.start("systemd-import", ["tar", fifo, "swept"]);
    const writer = Bun.spawn(["sh", "-c", `exec 3> "${fifo}"; read go; cat "${packed}" >&3`], { stdin: "pipe" });
    await host.staged("tar");
    const before = host.lockFiles();
    expect(before).toEqual([".#swept.lck", "name-swept"]);
    sweepAll(host.layout);
    expect(host.lockFiles()).toEqual(before);
    const { code, log } = await host.run("systemd-import", ["raw", disk, "swept"]);
    expect([code, log]).toEqual([1, expect.stringContaining("is in use, or another transfer writes it")]);
    writer.stdin.write("go\n");
    await writer.stdin.end();
    expect((await finished(importing)).code).toBe(0);
    expect(host.lockFiles()).toEqual([]);
  });

  test("while a clone to a name runs, a transfer to the same name is refused", async () => {
    using _clone = lockName(host.locks, "wanted");
    const { code, log } = await host.run("systemd-import", ["tar", packed, "wanted"]);
    expect([code, log]).toEqual([1, expect.stringContaining("is in use, or another transfer writes it")]);
  });

  test.each([245, 249, 250, 251, 252, 255])("names of %i bytes can be imported and replaced", async (length) => {
    const name = "n".repeat(length);
    for (const force of [[], ["--force"]]) {
      const { code, log } = await host.run("systemd-import", ["tar", ...force, packed, name]);
      expect([code, log]).toEqual([0, expect.any(String)]);
    }
    expect(readFileSync(join(host.pool, name, "file"), "utf8")).toBe("new");
    const fifo = join(host.path, `fifo${length}`);
    Bun.spawnSync(["mkfifo", fifo]);
    const importing = host.start("systemd-import", ["tar", "--force", fifo, name]);
    const writer = Bun.spawn(["sh", "-c", `exec 3> "${fifo}"; read go; cat "${packed}" >&3`], { stdin: "pipe" });
    await host.staged("tar");
    const second = await host.run("systemd-import", ["tar", "--force", packed, name]);
    expect([second.code, second.log]).toEqual([1, expect.stringContaining("another transfer writes it")]);
    writer.stdin.write("go\n");
    await writer.stdin.end();
    expect((await finished(importing)).code).toBe(0);
    expect(host.lockFiles()).toEqual([]);
  });

  test("--force does not replace a file of the wrong kind by an image", async () => {
    mkdirSync(join(host.pool, "odd.raw"));
    writeFileSync(join(host.pool, "odd.raw/kept"), "");
    writeFileSync(join(host.pool, "odd"), "kept");
    const runs = [
      await host.run("systemd-import", ["raw", "--force", disk, "odd"]),
      await host.run("systemd-import", ["tar", "--force", packed, "odd"]),
    ];
    const inPlace = join(host.path, "in-place");
    writeFileSync(inPlace, "kept");
    runs.push(await host.run("systemd-import", ["tar", "--force", "--direct", packed, inPlace]));
    expect(runs.map(({ code }) => code)).toEqual([1, 1, 1]);
    expect(readFileSync(inPlace, "utf8")).toBe("kept");
    expect(existsSync(join(host.pool, "odd.raw/kept"))).toBe(true);
    expect(readFileSync(join(host.pool, "odd"), "utf8")).toBe("kept");
    await waitFor(() => expect(host.lockFiles()).toEqual([]), "the locks to go");
  });
});
