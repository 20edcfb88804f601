// Images on btrfs: subvolumes and snapshots, and quota left as it was. The file system is in a file, mounted in a mount
// namespace that ends with the test.
import { expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { isRoot } from "../kernel/support.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { FaultyServer, Scratch } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const scratch = new Scratch();
const server = new FaultyServer();
const MAIN = `${process.execPath} ${join(import.meta.dir, "../../src/main.ts")}`;
const canMount = isRoot && havePrograms("images on btrfs", "mkfs.btrfs", "btrfs");

async function onBtrfs(script: string): Promise<{ code: number; out: string }> {
  const image = join(scratch.path, "btrfs.img");
  const setup = `set -e; truncate -s 300M ${image}; mkfs.btrfs -q -f ${image} >/dev/null; mkdir -p ${scratch.path}/m
    mount -o loop ${image} ${scratch.path}/m; cd ${scratch.path}/m; R=--image-root=${scratch.path}/m/root; M="${MAIN}"`;
  const run = Bun.spawn(["unshare", "--mount", "sh", "-c", `${setup}\n${script}\ncd /; umount ${scratch.path}/m`], {
    env: { PATH: process.env["PATH"] ?? "", SYSTEMD_LOG_LEVEL: "err" },
    stderr: "pipe",
  });
  const [out, errors] = await Promise.all([run.stdout.text(), run.stderr.text()]);
  return { code: await run.exited, out: out + errors };
}

/**
 * Prints whether the image is copied on write, its size, its exclusive size, and the size of image and cache together.
 */
const SHOW = `sync -f .; lsattr root/disk.raw root/.raw-* | cut -c1-22 | tr -d -- -
    btrfs filesystem du --raw root/disk.raw | awk 'NR == 2 { print $1 == 8388608, $2 }'
    btrfs filesystem du --raw -s root | awk 'NR == 2 { print $3 }'`;
const SHARED = ["C", "C", "1 0", "8388608"];

test.skipIf(!canMount)(
  "I105: disk images are not copied on write, and the image shares the data of the cached download",
  async () => {
    const { code, out } = await onBtrfs(`
    head -c 8M /dev/urandom > d.raw
    $M systemd-pull $R --verify=no raw file://$PWD/d.raw disk
    cmp d.raw root/disk.raw
    ${SHOW}`);
    expect(out.split("\n").filter((line) => line !== "")).toEqual(SHARED);
    expect(code).toBe(0);
  },
);

test.skipIf(!canMount)("I105: a disk image that is downloaded is not copied on write either", async () => {
  server.pages["d.raw"] = { body: randomBytes(8 << 20), headers: { ETag: '"d"' } };
  const { code, out } = await onBtrfs(`
    $M systemd-pull $R --verify=no raw ${server.url("d.raw")} disk
    ${SHOW}`);
  expect(out.split("\n").filter((line) => line !== "")).toEqual(SHARED);
  expect(code).toBe(0);
});

test.skipIf(!canMount)(
  "images are also made in a directory with compression, which excludes no-copy-on-write",
  async () => {
    const packed = gzipSync(archive({ name: "./", type: "5", mode: 0o755 }, { name: "f", data: "content" }));
    server.pages["small.raw"] = { body: "a disk image", headers: { ETag: '"s"' } };
    server.pages["t.tar.gz"] = { body: packed, headers: { ETag: '"t"' } };
    const { code, out } = await onBtrfs(`
    mkdir root; chattr +c root; echo image > d.raw
    $M systemd-import $R raw d.raw imported
    $M systemd-pull $R --verify=no raw ${server.url("small.raw")} pulled
    $M systemd-pull $R --verify=no tar ${server.url("t.tar.gz")} tree
    ls root`);
    expect([code, out]).toEqual([0, "imported.raw\npulled.raw\ntree\n"]);
  },
);

test.skipIf(!canMount)(
  "I103, I108, I112, I117, I121: trees are subvolumes and snapshots, --read-only is set, quota stays off",
  async () => {
    const packed = join(scratch.path, "t.tar.gz");
    writeFileSync(packed, gzipSync(archive({ name: "./", type: "5", mode: 0o755 }, { name: "f", data: "content" })));
    const { code, out } = await onBtrfs(`
    $M systemd-import $R --read-only tar ${packed} tree
    btrfs property get root/tree ro
    $M systemd-import $R --force tar ${packed} tree
    btrfs property get root/tree ro
    $M systemd-pull $R --verify=no tar file://${packed} pulled
    $M systemd-pull $R --verify=no tar file://${packed} pulled2
    cat root/pulled2/f; echo
    $M systemd-export $R tar pulled - | tar tf - | sort | tr '\\n' ' '; echo
    $M systemd-import-fs $R run root/pulled snap
    SYSTEMD_IMPORT_BTRFS_SUBVOL=no $M systemd-import $R tar ${packed} plain
    btrfs subvolume list . | sed 's/.* //' | sort
    head -c 100000 /dev/urandom > d.raw; $M systemd-import $R raw d.raw; cmp d.raw root/d.raw
    lsattr root/d.raw | cut -c1-22 | tr -d -- -
    btrfs qgroup show . 2>&1 | grep -c 'not enabled'`);
    const kept = `.tar-file:${`//${packed}`.replace(/[/.]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`)}`;
    expect(out.split("\n").filter((line) => line !== "")).toEqual([
      "ro=true",
      "ro=false",
      "content",
      "./ ./f ",
      ...[kept, "pulled", "pulled2", "snap", "tree"].map((name) => `root/${name}`).sort(),
      "C",
      "1",
    ]);
    expect(code).toBe(0);
  },
);

test.skipIf(!canMount)("I112: nested subvolumes are in an export, and in the image of a directory", async () => {
  const { code, out } = await onBtrfs(`
    make() { btrfs subvolume create root/$1 >/dev/null; echo $1 > root/$1/file; }
    mkdir root; make source; make source/home; mkdir root/source/srv; make source/srv/deep; make source/srv/deep/er
    $M systemd-export $R tar source - | tar tf - | grep file | sort
    $M systemd-import-fs $R run root/source copy
    find root/copy -name file | sort
    echo changed > root/copy/srv/deep/er/file; cat root/source/srv/deep/er/file
    btrfs subvolume list . | sed 's/.* //' | sort
    $M systemd-import-fs $R --read-only run root/source locked
    for place in . home srv/deep srv/deep/er; do btrfs property get root/locked/$place ro; done`);
  const places = ["", "/home", "/srv/deep", "/srv/deep/er"];
  expect(out.split("\n").filter((line) => line !== "")).toEqual([
    ...["./file", "./home/file", "./srv/deep/er/file", "./srv/deep/file"],
    ...["file", "home/file", "srv/deep/er/file", "srv/deep/file"].map((path) => `root/copy/${path}`),
    "source/srv/deep/er",
    ...["copy", "source"].flatMap((image) => places.map((place) => `root/${image}${place}`)),
    ...places.map(() => "ro=true"),
  ]);
  expect(code).toBe(0);
});

test.skipIf(!canMount)("an OS tree in a nested subvolume stays where it is", async () => {
  const { code, out } = await onBtrfs(`
    mkdir root; btrfs subvolume create source >/dev/null; btrfs subvolume create source/only >/dev/null
    mkdir source/only/etc; touch source/only/etc/os-release
    $M systemd-import-fs $R run source image; find root/image -type f`);
  expect([code, out]).toEqual([0, "root/image/only/etc/os-release\n"]);
});

test.skipIf(!canMount)(
  "a directory is imported without attributes that are too large here, which one line says",
  async () => {
    const { code, out } = await onBtrfs(`
    mkdir source; for name in a b c; do
      echo x > source/$name; python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.large", bytes(8000))' source/$name
    done
    truncate -s 64M small.img; mkfs.ext4 -q small.img; mkdir small; mount -o loop small.img small
    SYSTEMD_LOG_LEVEL=warning $M systemd-import-fs --image-root=$PWD/small/root run source copy; umount small`);
    const line = "Extended attribute 'user.*' cannot be kept here, leaving it out: 3 files, the first of them ";
    expect([code, out]).toEqual([0, expect.stringMatching(new RegExp(`^${RegExp.escape(line)}'[abc]'\n$`))]);
  },
);

test.skipIf(!canMount)(
  "a user, who may not remove subvolumes as root does, removes and replaces own images",
  async () => {
    const owner = { uid: 65534, gid: 65534 };
    const packed = join(scratch.path, "own.tar");
    writeFileSync(
      packed,
      archive({ name: "d/", type: "5", mode: 0o755, ...owner }, { name: "d/f", data: "x", ...owner }),
    );
    const { code, out } = await onBtrfs(`
    chmod 755 ${scratch.path} .; mkdir root; chown 65534:65534 root
    U="setpriv --reuid=65534 --regid=65534 --clear-groups $M"
    $U systemd-import --user $R tar ${packed} own
    btrfs subvolume create root/own/d/nested >/dev/null; echo x > root/own/d/nested/file; chown -R 65534 root/own/d/nested
    $U systemd-export --user $R tar own - | tar tf - | sort
    $U systemd-import --user $R --force tar ${packed} own
    btrfs subvolume list . | sed 's/.* //'; ls -A root | grep -v lck`);
    expect(out.split("\n").filter((line) => line !== "")).toEqual([
      ...["./", "./d/", "./d/f", "./d/nested/", "./d/nested/file"],
      ...["root/own", "own"],
    ]);
    expect(code).toBe(0);
  },
);

test.skipIf(!canMount)("where quota is on, new images count in the pool, whose limit holds for them", async () => {
  const pack = (name: string, bytes: number) => {
    writeFileSync(join(scratch.path, name), archive({ name: "f", data: randomBytes(bytes) }));
    return join(scratch.path, name);
  };
  const [small, large] = [pack("small.tar", 1000), pack("large.tar", 40 << 20)];
  const { code, out } = await onBtrfs(`
    btrfs subvolume create root >/dev/null; btrfs quota enable .; id=$(btrfs inspect-internal rootid root)
    btrfs qgroup create 255/$id .; btrfs qgroup assign 0/$id 255/$id . 2>/dev/null; btrfs quota rescan -w . >/dev/null
    $M systemd-import $R tar ${small} imported
    $M systemd-import --direct tar ${small} $PWD/root/placed
    $M systemd-pull $R --verify=no --keep-download=yes tar file://${small} pulled
    $M systemd-import-fs $R run root/imported copied
    for name in imported placed pulled copied; do
      image=$(btrfs inspect-internal rootid root/$name)
      btrfs qgroup show -p . 2>/dev/null | awk -v n=$name -v i=$image '$1 == "254/" i { print n, $4 }' | sed s/$id/pool/
    done
    $M systemd-export $R tar copied - | tar tf - >/dev/null
    btrfs qgroup limit 20M 255/$id .; btrfs quota rescan -W . >/dev/null
    $M systemd-import $R tar ${large} large 2>&1 || echo failed`);
  expect(out.split("\n").filter((line) => line !== "")).toEqual([
    ...["imported", "placed", "pulled", "copied"].map((name) => `${name} 255/pool`),
    "Failed to write: Disk quota exceeded",
    "failed",
  ]);
  expect(code).toBe(0);
});
