// Files of this host that a transfer reads: another user may have put anything in their place.
import { expect } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { rootTest } from "../kernel/support.ts";
import { mountSilent } from "../lib/silent-file-system.ts";
import { entries, runWorker, Scratch, startWorker } from "./pull-support.ts";

const scratch = new Scratch();
const DISK = Buffer.alloc(100_000, "disk");
let folders = 0;

/** A folder with a disk image, and `disk.nspawn` beside it as `make` makes it. */
function folder(make: (path: string) => void = () => {}): string {
  const path = join(scratch.path, `folder${folders++}`);
  mkdirSync(path);
  writeFileSync(join(path, "disk.raw"), DISK);
  make(join(path, "disk.nspawn"));
  return path;
}

const fifo = (path: string) => void Bun.spawnSync(["mkfifo", path]);

const pull = (root: string, path: string, ...args: string[]) =>
  runWorker("systemd-pull", ["raw", `--image-root=${root}`, "--verify=no", ...args, pathToFileURL(path).href, "img"]);

for (const [what, make, message] of [
  ["a fifo", fifo, "is a fifo, and only regular files are accepted"],
  ["a directory", mkdirSync, "is a directory, and only regular files are accepted"],
  ["a symbolic link", (path: string) => symlinkSync("/etc/shadow", path), "is a symlink, and only regular files"],
  ["a dangling link", (path: string) => symlinkSync("/nowhere", path), "is a symlink, and only regular files"],
  ["a link to a file beside it", (path: string) => symlinkSync("disk.raw", path), "is a symlink"],
  ["a device", (path: string) => void Bun.spawnSync(["mknod", path, "c", "1", "5"]), "is a character"],
] as const) {
  rootTest(`${what} beside a file:// URL is refused, and nothing is installed`, async () => {
    const root = scratch.root();
    const { code, log } = await pull(root, join(folder(make), "disk.raw"));
    expect([code, log]).toEqual([1, expect.stringContaining(message)]);
    expect(entries(root)).toEqual([]);
  });
}

rootTest("a file beside a file:// URL that is too large is refused by its size, without being read", async () => {
  const root = scratch.root();
  const place = folder((path) => {
    writeFileSync(path, "");
    truncateSync(path, 2 ** 43);
  });
  const { code, log } = await pull(root, join(place, "disk.raw"));
  expect([code, log]).toEqual([1, expect.stringContaining("File overly large, refusing.")]);
});

rootTest("files beside a file:// URL are used; the URL's path may be a link, but only to a regular file", async () => {
  const place = folder((path) => writeFileSync(path, "[Exec]\n"));
  const root = scratch.root();
  expect((await pull(root, join(place, "disk.raw"))).code).toBe(0);
  expect(readFileSync(join(root, "img.nspawn"), "utf8")).toBe("[Exec]\n");
  symlinkSync("disk.raw", join(place, "latest.raw"));
  expect((await pull(scratch.root(), join(place, "latest.raw"))).code).toBe(0);
  fifo(join(place, "pipe.raw"));
  symlinkSync("/dev/zero", join(place, "zero.raw"));
  for (const [name, kind] of [
    ["pipe.raw", "fifo"],
    ["zero.raw", "character"],
  ] as const) {
    const { code, log } = await pull(scratch.root(), join(place, name));
    expect([code, log]).toEqual([1, expect.stringContaining(`is a ${kind}`)]);
  }
});

rootTest(
  "a fifo is refused in place of every file that a worker reads: keyring, image archive, layer, rules, passwords",
  async () => {
    const place = folder();
    const pipe = join(place, "pipe");
    fifo(pipe);
    const url = pathToFileURL(join(place, "disk.raw")).href;
    writeFileSync(join(place, "SHA256SUMS"), "x");
    writeFileSync(join(place, "SHA256SUMS.gpg"), "x");
    const signed = await runWorker("systemd-pull", ["raw", `--image-root=${scratch.root()}`, url, "img"], {
      SYSTEMD_OPENPGP_KEYRING: pipe,
    });
    expect([signed.code, signed.log]).toEqual([1, expect.stringContaining("is a fifo")]);
    const packed = await runWorker("systemd-pull", ["oci", `--image-root=${scratch.root()}`, `oci-archive:${pipe}`]);
    expect([packed.code, packed.log]).toEqual([1, expect.stringContaining("is a fifo")]);
    const rules = join(place, "rules");
    mkdirSync(rules);
    fifo(join(rules, "registry.x.example.oci-registry"));
    const ruled = await runWorker("systemd-pull", ["oci", `--image-root=${scratch.root()}`, "x.example/i"], {
      MACHINED_OCI_REGISTRIES: rules,
    });
    expect([ruled.code, ruled.log]).toEqual([1, expect.stringContaining("is a fifo")]);
  },
);

for (const operation of ["getattr", "open", "read"] as const) {
  rootTest(`a worker ends by SIGTERM also while a file system does not answer '${operation}'`, async () => {
    const rows: [string, (path: string, root: string) => string[]][] = [
      ["systemd-pull", (path, root) => ["raw", "--verify=no", root, pathToFileURL(path).href, "img"]],
      ["systemd-pull", (path, root) => ["oci", root, `oci-archive:${path}`, "img"]],
      ["systemd-import", (path, root) => ["raw", root, path, "img"]],
      ["systemd-import", (path, root) => ["tar", root, path, "img"]],
    ];
    for (const [program, args] of rows) {
      using system = await mountSilent(join(scratch.path, `silent${folders++}`), operation);
      const root = scratch.root();
      const child = startWorker(program, args(join(system.path, "image"), `--image-root=${root}`));
      await system.asked;
      child.kill("SIGTERM");
      await child.exited;
      expect(child.exitCode === 4 || child.signalCode === "SIGTERM").toBe(true);
    }
  });
}

rootTest(
  "a copy of a disk image ends by SIGTERM also when its file system stops answering during the copy",
  async () => {
    using system = await mountSilent(join(scratch.path, `silent${folders++}`), "rest");
    const args = ["raw", `--image-root=${scratch.root()}`, join(system.path, "image"), "img"];
    const child = startWorker("systemd-import", args);
    await system.asked;
    child.kill("SIGTERM");
    await child.exited;
    expect(child.signalCode).toBe("SIGTERM");
  },
);
