// --direct, as systemd-sysupdate(8) calls it: the behaviour of systemd 262.
import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { rootTest } from "../kernel/support.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { entries, FaultyServer, runWorker, Scratch } from "./pull-support.ts";

const scratch = new Scratch();
const source = join(scratch.path, "source");
mkdirSync(join(source, "d"), { recursive: true });
writeFileSync(join(source, "d/f"), "new");

const direct = (...args: string[]) => runWorker("systemd-import-fs", ["run", "--direct", ...args]);

function place(): string {
  const root = scratch.root();
  mkdirSync(root);
  return root;
}

rootTest(`a tree is copied to exactly the given path, which need not be the name of an image`, async () => {
  const root = place();
  const { code, log } = await direct("--sync=no", source, join(root, ".#sysupdate-target 1"));
  expect([code, log]).toEqual([0, expect.stringContaining(`saving as '${join(root, ".#sysupdate-target 1")}'`)]);
  expect(readFileSync(join(root, ".#sysupdate-target 1/d/f"), "utf8")).toBe("new");
  expect(entries(root)).toEqual([".#sysupdate-target 1"]);
});

rootTest(`a relative path is below the directory of images, and its name comes from the source`, async () => {
  const root = place();
  expect((await direct(`--image-root=${root}`, source, "copy")).code).toBe(0);
  expect((await direct(`--image-root=${root}`, source)).code).toBe(0);
  expect(entries(root)).toEqual(["copy", "source"]);
});

rootTest(`an existing target stays, also an empty directory, unless --force replaces it`, async () => {
  const root = place();
  const target = join(root, "target");
  mkdirSync(target);
  expect(await direct(source, target)).toMatchObject({ code: 1, log: expect.stringContaining("exists already") });
  writeFileSync(join(target, "old"), "");
  expect((await direct("--force", source, target)).code).toBe(0);
  expect([existsSync(join(target, "old")), existsSync(join(target, "d/f"))]).toEqual([false, true]);
  expect(entries(root)).toEqual(["target"]);
});

rootTest(`a file or device is never replaced by a tree`, async () => {
  const root = place();
  const target = join(root, "file");
  writeFileSync(target, "precious");
  expect(await direct("--force", source, target)).toMatchObject({
    code: 1,
    log: expect.stringContaining("not replaced"),
  });
  expect(readFileSync(target, "utf8")).toBe("precious");
  expect(entries(root)).toEqual(["file"]);
});

rootTest(`a source that cannot be copied leaves no target`, async () => {
  const root = place();
  expect((await direct(join(scratch.path, "absent"), join(root, "x"))).code).toBe(1);
  expect((await direct(source, join(root, "no/such/x"))).code).toBe(1);
  expect(entries(root)).toEqual([]);
});

rootTest("--force removes nothing of a tree in which something is mounted", async () => {
  const root = place();
  const target = join(root, "target");
  const names = Array.from({ length: 9 }, (_, index) => `${index}`);
  for (const name of names) mkdirSync(join(target, name), { recursive: true });
  writeFileSync(join(root, "t.tar"), archive({ name: "f", data: "new" }));
  expect(Bun.spawnSync(["mount", "-t", "tmpfs", "tmpfs", join(target, "5")]).exitCode).toBe(0);
  try {
    const options = ["tar", "--direct", "--force"];
    expect(await runWorker("systemd-import", [...options, join(root, "t.tar"), target])).toMatchObject({
      code: 1,
      log: expect.stringContaining(`'${join(target, "5")}' is a mount point`),
    });
    expect(entries(target)).toEqual(names);
  } finally {
    Bun.spawnSync(["umount", "-l", join(target, "5")]);
  }
});

const server = new FaultyServer();

rootTest(
  "a disk image that is written over a longer file leaves nothing of it, but with an offset all around it",
  async () => {
    const root = place();
    const image = Buffer.alloc(300_000, "image");
    writeFileSync(join(root, "image.raw"), image);
    server.pages["image.raw"] = { body: image };
    const target = join(root, "target");
    for (const words of [
      ["systemd-import", "raw", "--direct", join(root, "image.raw")],
      ["systemd-pull", "raw", "--direct", "--verify=no", server.url("image.raw")],
    ]) {
      const [program = "", ...args] = words;
      writeFileSync(target, Buffer.alloc(500_000, "before"));
      expect((await runWorker(program, [...args, target])).code).toBe(0);
      expect([program, readFileSync(target).equals(image)]).toEqual([program, true]);
      const before = Buffer.alloc(500_000, "before");
      writeFileSync(target, before);
      expect((await runWorker(program, [...args, "--offset=4096", target])).code).toBe(0);
      image.copy(before, 4096);
      expect([program, readFileSync(target).equals(before)]).toEqual([program, true]);
    }
  },
);
