// The content of the disk when the power fails at the moment a transfer reports success. The disk is a file after a
// loop device: the file contains only what the file system has written to the device, and a copy of it is what a reboot
// would find.
import { expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { isRoot } from "../kernel/support.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { Scratch } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const scratch = new Scratch();
const MAIN = `${process.execPath} ${join(import.meta.dir, "../../src/main.ts")}`;
const KINDS = (["ext4", "btrfs"] as const).filter((kind) => havePrograms(`a power cut on ${kind}`, `mkfs.${kind}`));
const canMount = isRoot && KINDS.length > 0;
const reason = canMount ? "" : " (left out: needs root and mkfs.ext4 or mkfs.btrfs)";

const disk = join(scratch.path, "d.raw");
writeFileSync(disk, randomBytes(3_000_000));
const packed = join(scratch.path, "t.tar.gz");
const members = Array.from({ length: 300 }, (_, i) => ({ name: `d/${i}`, data: randomBytes(5000) }));
writeFileSync(packed, gzipSync(archive({ name: "d/", type: "5", mode: 0o755 }, ...members)));

/** Runs `work` on a new file system, cuts its power, and returns what `look` prints after the reboot. */
function afterPowerCut(kind: string, work: string, look: string): string {
  const script = `set -e; cd ${scratch.path}; truncate -s 300M disk; mkdir -p m
    mkfs.${kind} -q ${kind === "btrfs" ? "-f" : "-F"} disk > /dev/null
    # Nothing may be written by itself meanwhile, only what is asked for.
    mount -o loop${kind === "ext4" ? ",commit=600" : ",commit=300"} disk m; sync -f m; cd m
    R=--image-root=$PWD/root; M="${MAIN}"; ${work}
    cp --sparse=always ../disk ../found; cd ..; umount m; mount -o loop found m; cd m
    ( ${look} ) 2>&1 || true; cd ..; umount m; rm disk found`;
  const { stdout, stderr } = Bun.spawnSync(["unshare", "--mount", "sh", "-c", script], {
    env: { PATH: process.env["PATH"] ?? "", SYSTEMD_LOG_LEVEL: "err" },
  });
  return (stdout.toString() + stderr.toString()).trim();
}

for (const kind of KINDS) {
  test.skipIf(!canMount)(
    `I116: images whose transfer was reported as done are complete after a power cut, on ${kind}${reason}`,
    () => {
      const work = `$M systemd-import $R raw ${disk}; $M systemd-import $R --read-only tar ${packed} tree
      $M systemd-pull $R --verify=no tar file://${packed} pulled; $M systemd-import-fs $R run root/tree copy`;
      const look = `cmp ${disk} root/d.raw
      for name in tree pulled copy; do tar -C root/$name -df ${packed} && echo $name; done`;
      expect(afterPowerCut(kind, work, look)).toBe("tree\npulled\ncopy");
      const unsynced = afterPowerCut(
        kind,
        `SYSTEMD_IMPORT_SYNC=no $M systemd-import $R raw ${disk}`,
        `cmp ${disk} root/d.raw`,
      );
      expect(unsynced).not.toBe("");
    },
  );
}
if (!canMount) test.skip(`I116: images after a power cut${reason}`, () => {});
