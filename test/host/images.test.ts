// Images on real hosts: on btrfs and on ext4, with the distribution's systemd-nspawn, on full and read-only disks, with
// operations killed at any moment.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { DESCRIBE } from "../kernel/tree-support.ts";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const TIMEOUT_MS = GUARD_MS;
const POOL = "/var/lib/machines";
const CALL = "org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager";
const left = isStock ? " (left out: the distribution's programs behave differently)" : "";

/** Mounts of loop devices, except the one of the bed itself. */
const LOOP_MOUNTS = `own=$(findmnt -no SOURCE / | cut -d[ -f1)
  findmnt -rno TARGET,SOURCE | grep ' /dev/loop' | grep -v " $own\\b" || true`;

let bed: Bed;

/**
 * Returns output and exit code of a command as one text. The command is not the unit's main process: as such, a program
 * of systemd would write to the journal.
 */
async function said(script: string): Promise<string> {
  const { code, output } = await bed.exec(`${script}\nexit $?`);
  return `${output.trim()} [${code}]`.trim();
}

beforeAll(async () => {
  bed = await Bed.boot("images");
  await bed.install();
  await bed.run(`cat >/root/describe.py <<'X'\n${DESCRIBE}\nX`);
  await bed.inner("deb1");
  await bed.run("mv /var/lib/machines/deb1 /root/deb1");
}, TIMEOUT_MS);

afterAll(() => bed.stop(), GUARD_MS);

/** Mounts a fresh file system as the pool. */
async function freshPool(type: "ext4" | "btrfs", size: string): Promise<void> {
  await bed.run(`cd /; umount -l ${POOL} 2>/dev/null; rm -f /root/pool.img; truncate -s ${size} /root/pool.img
    mkfs.${type} -q /root/pool.img && mount -o loop /root/pool.img ${POOL} && rm -rf ${POOL}/lost+found`);
}

async function oldPool(): Promise<void> {
  await bed.run(`cd /; umount -l ${POOL}; rm -f /root/pool.img`);
}

const EXTRAS = `cd ${POOL}/deb1 && setfattr -n user.note -v hello etc/passwd && setfacl -m u:1234:r etc/group &&
  setfacl -d -m u:1234:rx etc && setfattr -n trusted.t -v x usr && ln etc/passwd etc/passwd.other &&
  truncate -s 64M var/holes && printf x | dd of=var/holes bs=1 seek=33554432 conv=notrunc status=none &&
  mknod dev/made c 1 3 && mkfifo run/fifo && touch etc/owned && chown 4000000000:3000000000 etc/owned && touch "etc/with
newline" && touch "$(printf 'etc/bytes-\\377')" && touch -d @1 etc/old && chmod 4755 usr/bin/env && chmod 0 etc/old`;

/** A path of so many directories exceeds every buffer and stack; 100 000 take some minutes. */
const LEVELS = Number(process.env["MACHINED_LEVELS"] ?? "20000");

describe.skipIf(isStock)(`trees${left}`, () => {
  for (const type of ["ext4", "btrfs"] as const) {
    test(
      `a Debian tree on ${type} is the same after clone, rename, read-only, and the removal of the original`,
      async () => {
        await freshPool(type, "3G");
        if (type === "btrfs") await bed.run(`btrfs -q subvolume create ${POOL}/deb1`);
        await bed.run(`cp -aT /root/deb1 ${POOL}/deb1 && ${EXTRAS}`);
        if (type === "btrfs")
          await bed.run(`btrfs -q subvolume create ${POOL}/deb1/srv/nested; echo x >${POOL}/deb1/srv/nested/f`);
        await bed.run(`mkdir -p /etc/systemd/nspawn; printf '[Exec]\\nHostname=x\\n' >/etc/systemd/nspawn/deb1.nspawn`);
        await bed.run(`python3 /root/describe.py ${POOL}/deb1 >/root/before`);
        if (type === "btrfs") {
          await bed.run("machinectl clone --read-only deb1 fixed");
          expect(await said(`touch ${POOL}/fixed/new; touch ${POOL}/fixed/srv/nested/new`)).toMatch(
            /new': Read-only file system\n.*new': Read-only file system/,
          );
          await bed.run("machinectl remove fixed");
        }
        await bed.run("machinectl clone deb1 copy && machinectl rename copy kept && machinectl read-only kept");
        await bed.run(`python3 /root/describe.py ${POOL}/deb1 | cmp - /root/before`);
        await bed.run("machinectl remove deb1");
        const difference = await said(`python3 /root/describe.py ${POOL}/kept | diff /root/before - | head -5`);
        expect(difference).toBe("[0]");
        expect(await bed.run("machinectl list-images --no-legend | sed 's/ Sun.*//; s/  */ /g'")).toMatch(
          /^kept (directory|subvolume) yes/,
        );
        expect(await bed.run("ls /etc/systemd/nspawn")).toBe("kept.nspawn");
        expect(await said(`touch ${POOL}/kept/new`)).toMatch(/Read-only file system|Operation not permitted/);
        await bed.run("machinectl remove kept");
        expect(await bed.run(`ls -A ${POOL} /etc/systemd/nspawn`)).toBe(`/etc/systemd/nspawn:\n\n${POOL}:`);
        await oldPool();
      },
      TIMEOUT_MS,
    );
  }

  test(
    "file capabilities are copied, or the log says that they are missing",
    async () => {
      await freshPool("ext4", "100M");
      await bed.run(`mkdir ${POOL}/caps; cp /bin/true ${POOL}/caps/; python3 - <<'X'
import os, struct
os.setxattr("${POOL}/caps/true", "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
X`);
      await bed.run("machinectl clone caps copy");
      const kept = await bed.exec(`getfattr -n security.capability ${POOL}/copy/true`);
      const log = await bed.run("journalctl -u systemd-machined.service --no-pager | tail -5");
      expect(kept.code === 0 || log.includes('The copy of "true" lacks security.capability')).toBe(true);
      await oldPool();
    },
    TIMEOUT_MS,
  );

  test(
    `a tree of ${LEVELS} levels can be cloned and removed`,
    async () => {
      await bed.run(
        `python3 - <<'X'
import os
os.makedirs("${POOL}/deep"); fd = os.open("${POOL}/deep", 0)
for i in range(${LEVELS}):
    os.mkdir("d", dir_fd=fd); inner = os.open("d", 0, dir_fd=fd); os.close(fd); fd = inner
X`,
      );
      expect(await said("machinectl clone deep deep2 && machinectl remove deep deep2")).toBe("[0]");
      expect(await bed.run(`ls -A ${POOL}`)).toBe("");
    },
    TIMEOUT_MS,
  );

  test(
    "the host's tree can be cloned without its pool, and the clone can be removed",
    async () => {
      await bed.run(`mkdir ${POOL}/other; machinectl clone .host hostcopy`);
      expect(await bed.run(`ls -A ${POOL}/hostcopy${POOL}; ls -d ${POOL}/hostcopy/usr/bin`)).toBe(
        `${POOL}/hostcopy/usr/bin`,
      );
      await bed.run("machinectl remove hostcopy other");
    },
    TIMEOUT_MS,
  );
});

/** How often each operation is killed; fifty times by MACHINED_KILLS=50. */
const KILLS = Number(process.env["MACHINED_KILLS"] ?? "4");

/** Starts a command, kills the worker or the daemon at a random moment of its duration, and checks what is left. */
const KILL = `
timed() { local start=$(date +%s%N); "$@" && took=$((($(date +%s%N) - start) / 1000000)); }
kill_at() { # PATTERN MOST-MILLISECONDS COMMAND...
  local pattern=$1 at=$((RANDOM % ($2 + 1))); shift 2
  "$@" 2>/root/said & local pid=$!
  sleep $((at / 1000)).$(printf %03d $((at % 1000)))
  pkill -KILL -f "$pattern" && killed=$((killed + 1))
  wait $pid && return
  systemctl reset-failed systemd-machined.service; return 1
}
wrong() { echo "$*: $(cat /root/said)"; bad=1; }
whole() { python3 /root/describe.py ${POOL}/$1 | cmp - /root/before; }
killed=0 bad=0`;

const KILL_LOOP = `${KILL}
  for i in 1 2; do timed machinectl clone deb1 k; cloned=$took; timed machinectl remove k; removed=$took; done
  for i in $(seq ${KILLS}); do
    [ $((i % 4)) = 0 ] && victim=/systemd-machined$ || victim='^machined-worker'
    if ! kill_at $victim $cloned machinectl clone deb1 k; then
      [ -e ${POOL}/k ] || machinectl clone deb1 k 2>/root/said || wrong "the second clone failed"
      whole k || wrong "half a clone"
    fi
    if ! kill_at $victim $removed machinectl remove k && [ -e ${POOL}/k ]; then
      whole k || wrong "half an image"
      machinectl remove k 2>/root/said || wrong "the second removal failed"
    fi
    [ -e ${POOL}/k ] && wrong "still there"
  done
  machinectl list-images >/dev/null; swept() { ! ls -A ${POOL} | grep -q '^.#'; }; wait_for swept || bad=1
  whole deb1 || wrong "the original is another"
  echo "in $cloned and $removed ms: bad $bad, killed $killed, left $(ls -A ${POOL} /etc/systemd/nspawn | tr '\\n' ' ')" \
    "$(ls -A /run/systemd/nspawn/locks; pgrep -af ^machined-worker)"`;

describe.skipIf(isStock)(`killed operations${left}`, () => {
  test.each(["btrfs", "ext4"] as const)(
    "on %s a clone or removal that is killed leaves nothing incomplete, and the same command succeeds afterwards",
    async (type) => {
      await freshPool(type, "3G");
      if (type === "btrfs") await bed.run(`btrfs -q subvolume create ${POOL}/deb1`);
      await bed.run(`cp -aT /root/deb1 ${POOL}/deb1; python3 /root/describe.py ${POOL}/deb1 >/root/before
        mkdir -p /etc/systemd/nspawn; touch /etc/systemd/nspawn/deb1.nspawn`);
      const outcome = await bed.run(KILL_LOOP);
      console.log(`${type}: ${outcome}`);
      // The settings of an image are left where the removal is killed between the image and them.
      expect(outcome).toMatch(
        /^in \d+ and \d+ ms: bad 0, killed \d+, left \/etc\/systemd\/nspawn: deb1.nspawn (?:k.nspawn )? \S+: deb1$/,
      );
      await bed.run("rm -f /etc/systemd/nspawn/{deb1,k}.nspawn");
      await oldPool();
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(isStock)(`errors${left}`, () => {
  test(
    "on a full disk the error says so, and the space is free again",
    async () => {
      await freshPool("ext4", "60M");
      await bed.run(
        `mkdir ${POOL}/t; head -c 30M /dev/urandom >${POOL}/t/data; head -c 10M /dev/urandom >${POOL}/r.raw; sync`,
      );
      const free = await bed.run(`df --output=avail ${POOL} | tail -1 | tr -d ' '`);
      const full = "Could not clone image: No space left on device [1]";
      expect(await said("machinectl clone t t2")).toBe(full);
      expect(await said("machinectl clone .host h")).toBe(full);
      expect(await bed.run(`ls -A ${POOL}; df --output=avail ${POOL} | tail -1 | tr -d ' '`)).toBe(`r.raw\nt\n${free}`);
      await oldPool();
    },
    TIMEOUT_MS,
  );

  test(
    "in a read-only pool the errors say so, and lists work",
    async () => {
      await freshPool("ext4", "60M");
      await bed.run(`mkdir ${POOL}/t; machinectl list-images; until mount -o remount,ro ${POOL}; do sleep .1; done`);
      const readOnly = "Read-only file system [1]";
      expect(await said("machinectl clone t u")).toBe(`Could not clone image: ${readOnly}`);
      expect(await said("machinectl remove t")).toBe(`Could not remove image: ${readOnly}`);
      expect(await said("machinectl rename t u")).toBe(`Could not rename image: Failed to rename image: ${readOnly}`);
      expect(await said("machinectl read-only t no")).toBe(`Could not mark image read-only: ${readOnly}`);
      expect(await bed.run("machinectl list-images --no-legend")).toMatch(/^t +directory yes/);
      await oldPool();
    },
    TIMEOUT_MS,
  );

  test(
    "without a pool lists are empty, and the first clone creates it",
    async () => {
      await bed.run(`cd /; mv ${POOL} ${POOL}.away; mkdir -p /etc/machines/src`);
      expect(await bed.run("machinectl list-images --no-legend | sed 's/ .*//'; machinectl show -P PoolPath")).toBe(
        `src\n${POOL}`,
      );
      await bed.run("machinectl clone src made && machinectl remove made src");
      expect(await bed.run(`stat -c %a ${POOL}; ls -A ${POOL}`)).toMatch(/^7[05]0|755/);
      await bed.run(`btrfs -q subvolume delete ${POOL} 2>/dev/null || rmdir ${POOL}; mv ${POOL}.away ${POOL}`);
    },
    TIMEOUT_MS,
  );

  test(
    "C66 M158: an image that nspawn uses cannot be changed, and nspawn cannot start an image that an operation uses",
    async () => {
      await bed.run(`mkdir -p ${POOL}/u/{bin,etc,usr}; cp /bin/busybox ${POOL}/u/bin/sleep; touch ${POOL}/u/etc/os-release
        printf 'PRETTY_NAME=In use\\n' >${POOL}/u/etc/os-release
        systemd-run -q --unit=using systemd-nspawn -q --keep-unit --register=no -D ${POOL}/u /bin/sleep 1000
        until ls ${POOL} -A | grep -q u.lck; do sleep .1; done`);
      const busy = "Device or resource busy [1]";
      expect(await said("machinectl remove u")).toBe(`Could not remove image: ${busy}`);
      expect(await said("machinectl rename u v")).toBe(`Could not rename image: Failed to rename image: ${busy}`);
      expect(await said("machinectl read-only u")).toBe(`Could not mark image read-only: ${busy}`);
      expect(await said("machinectl image-status u")).not.toContain("In use");
      expect(await said("machinectl clone u v && machinectl remove v")).toBe("[0]");
      await bed.run("systemctl stop using");
      expect(await said("machinectl image-status u")).toContain("In use");
      await bed.run("machinectl remove u");
    },
    TIMEOUT_MS,
  );

  test(
    "M164: invalid disk images are errors without a hang, and no loop device stays",
    async () => {
      // Other beds of this host see the same loop devices: the names of the files distinguish them.
      const [two, header, parts, empty, tiny] = ["two", "header", "parts", "empty", "tiny"].map(
        (n) => `${n}-${bed.name}`,
      );
      await bed.run(`cd ${POOL}; truncate -s 30M ${two}.raw ${parts}.raw; truncate -s 1M ${empty}.raw; printf x >${tiny}.raw
        printf 'label: gpt\\n,10M,L\\n,10M,L\\n' | sfdisk -q ${two}.raw; cp ${two}.raw ${header}.raw
        dd if=/dev/urandom of=${header}.raw bs=1 seek=560 count=8 conv=notrunc status=none
        mkfs.ext4 -q ${parts}.raw; dd if=/dev/urandom of=${parts}.raw bs=1k seek=1 count=1 conv=notrunc status=none
        printf '\\123\\357' | dd of=${parts}.raw bs=1 seek=1080 conv=notrunc status=none`);
      for (const name of [two, header, parts, empty, tiny]) {
        expect(await said(`busctl call ${CALL} GetImageOSRelease s ${name}`)).toContain(
          "Failed to read image metadata: ",
        );
      }
      await bed.run(`for image in ${two} ${header} ${parts} ${empty} ${tiny}; do
        until machinectl remove $image; do sleep .1; done; done`);
      expect(await bed.run(`losetup -a | grep -c -e "-${bed.name}.raw" || true`)).toBe("0");
    },
    TIMEOUT_MS,
  );

  test(
    "the OS release is read from disk images with partitions, with only /usr, and with other file systems",
    async () => {
      await bed.run(
        `mkdir -p /root/t/{etc,usr/lib}; echo parted >/root/t/etc/hostname
        printf 'ID=parted\\n' >/root/t/usr/lib/os-release; ln -sf ../usr/lib/os-release /root/t/etc/os-release
        cd ${POOL}; truncate -s 20M gpt.raw usr.raw mbr.raw
        type=$([ $(uname -m) = aarch64 ] && echo B921B045-1DF0-41C3-AF44-4C6F280D3FAE || echo 4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709)
        usr=$([ $(uname -m) = aarch64 ] && echo B0E01050-EE5F-4390-949A-9101B17104E9 || echo 8484680C-9521-48C6-9C11-B0720656F69E)
        truncate -s 10M /root/fs; mkfs.ext4 -q -d /root/t /root/fs
        truncate -s 10M /root/usrfs; mkfs.ext4 -q -d /root/t/usr /root/usrfs
        echo "label: gpt
start=2048, size=20480, type=$type" | sfdisk -q gpt.raw; dd if=/root/fs of=gpt.raw bs=1M seek=1 conv=notrunc status=none
        echo "label: gpt
start=2048, size=20480, type=$usr" | sfdisk -q usr.raw; dd if=/root/usrfs of=usr.raw bs=1M seek=1 conv=notrunc status=none
        echo "label: dos
start=2048, size=20480, type=83" | sfdisk -q mbr.raw; dd if=/root/fs of=mbr.raw bs=1M seek=1 conv=notrunc status=none
        mksquashfs /root/t squash.raw -quiet -no-progress >/dev/null; truncate -s 120M btr.raw; mkfs.btrfs -q -r /root/t btr.raw`,
      );
      for (const name of ["gpt", "usr", "mbr", "squash", "btr"]) {
        expect(await said(`busctl call ${CALL} GetImageOSRelease s ${name}`)).toBe('a{ss} 1 "ID" "parted" [0]');
      }
      expect(await said(`busctl call ${CALL} GetImageHostname s gpt`)).toBe('s "parted" [0]');
      await bed.run("machinectl remove gpt usr mbr squash btr");
      expect(await bed.run(LOOP_MOUNTS)).toBe("");
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(isStock)(`limits${left}`, () => {
  test(
    "quota is off until a limit is set; then the limit is enforced, also for a clone",
    async () => {
      await freshPool("btrfs", "600M");
      const isOn = `btrfs qgroup show ${POOL} >/dev/null 2>&1 && echo on || echo off`;
      await bed.run(`btrfs -q subvolume create ${POOL}/sub; machinectl clone sub sub2; machinectl set-limit -`);
      await bed.run("machinectl set-limit sub none");
      expect(await bed.run(isOn)).toBe("off");
      await bed.run("machinectl set-limit sub 20M");
      expect(await bed.run(isOn)).toBe("on");
      expect(await bed.run("machinectl show-image sub -p Limit --value")).toBe("20971520");
      expect(await said(`head -c 40M /dev/urandom >${POOL}/sub/data; sync -f ${POOL}; rm ${POOL}/sub/data`)).toContain(
        "Disk quota exceeded",
      );
      await bed.run("machinectl clone sub sub3");
      expect(await bed.run("machinectl show-image sub3 -p Limit --value")).toBe("20971520");
      await bed.run("machinectl set-limit sub -");
      expect(await bed.run("machinectl show-image sub -p Limit --value")).toBe("infinity");
      await bed.run("machinectl set-limit 300M");
      expect(await bed.run("machinectl show -P PoolLimit; machinectl image-status | grep Limit")).toMatch(
        /^314572800\n\s*Limit: 300M$/,
      );
      await bed.run("machinectl remove sub sub2 sub3");
      await oldPool();
    },
    TIMEOUT_MS,
  );
});

describe("users other than root", () => {
  const asNobody = (call: string) =>
    said(`setpriv --reuid=65534 --regid=65534 --clear-groups busctl call ${CALL} ${call}`);

  test(
    "M161 M167 M169: they may read, arguments are checked first, and everything else needs a permission",
    async () => {
      await bed.run(`mkdir -p ${POOL}/t`);
      expect(await asNobody("ListImages")).toContain('"t" "');
      expect(await asNobody("GetImageHostname s t")).toBe('s "" [0]');
      expect(await asNobody("CleanPool s foo")).toContain("Unknown mode 'foo'.");
      for (const call of [
        "RemoveImage s t",
        "RenameImage ss t u",
        "CloneImage ssb t u false",
        "MarkImageReadOnly sb t true",
        "SetImageLimit st t 1",
        "SetPoolLimit t 100",
        "CleanPool s all",
        "RemoveImage s .host",
      ]) {
        expect(await asNobody(call)).toMatch(/[Ii]nteractive authentication|Access denied/);
      }
      expect(await bed.run(`ls -d ${POOL}/t`)).toBe(`${POOL}/t`);
      await bed.run("machinectl remove t");
    },
    TIMEOUT_MS,
  );
});
