// A real virtual machine, emulated by qemu in a bed: a kernel, busybox and an SSH server. It is registered around the
// command that runs it, and verbs that run something inside it use ssh(1).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const PACKAGES = [
  ...["qemu-system-x86", "busybox-static", "dropbear-bin", "openssh-client", "cpio", "linux-image-cloud-amd64", "kmod"],
  ...["zstd", "xz-utils", "openssh-sftp-server"],
];

/** Makes /root/initrd.gz, whose root user accepts the key /root/key. */
const MAKE_GUEST = `
  set -e; cd /root; mkdir -p g/bin g/proc g/sys g/dev g/etc/dropbear g/root/.ssh g/run g/tmp g/modules .ssh
  kernel=$(ls /boot/vmlinuz-* | head -n 1); version=\${kernel#/boot/vmlinuz-}
  cp /usr/bin/busybox /usr/sbin/dropbear g/bin/
  mkdir -p g/usr/lib; cp /usr/lib/openssh/sftp-server g/usr/lib/
  for library in $(ldd /usr/sbin/dropbear /usr/lib/openssh/sftp-server | grep -o '/[^ ]*' | grep -v ':$' | sort -u); do mkdir -p g$(dirname $library); cp -L $library g$library; done
  number=10
  modprobe -S $version -a --show-depends virtio_pci virtio_net | while read -r verb file _; do
    [[ $verb == insmod ]] || continue
    number=$((number + 1))
    case $file in *.xz) xz -dc $file;; *.zst) zstd -dc $file;; *) cat $file;; esac > g/modules/$number.ko
  done
  ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub g/root/.ssh/authorized_keys; chmod 700 g/root g/root/.ssh
  echo root:x:0:0::/root:/bin/sh > g/etc/passwd; echo root:x:0: > g/etc/group; echo /bin/sh > g/etc/shells
  printf '%s\\n' '#!/bin/busybox sh' '/bin/busybox --install -s /bin; export PATH=/bin' 'mount -t proc proc /proc; mount -t sysfs sys /sys' \\
    'mount -t devtmpfs dev /dev; mkdir -p /dev/pts; mount -t devpts devpts /dev/pts' \\
    'for module in /modules/*.ko; do insmod $module; done' \\
    'ip link set lo up; ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; echo guest > /proc/sys/kernel/hostname' \\
    'dropbear -R' 'while :; do sleep 1000; done' > g/init
  chmod 755 g/init; chown -R 0:0 g; (cd g; find . | cpio -o -H newc --quiet | gzip -1) > initrd.gz
  printf '%s\\n' 'StrictHostKeyChecking no' 'UserKnownHostsFile /dev/null' 'LogLevel ERROR' > .ssh/config`;

const START = `kernel=$(ls /boot/vmlinuz-* | head -n 1)
  systemd-run -q --collect --unit=guest machinectl register guest --class=vm --service=qemu --ssh-address=127.0.0.1 \\
    --ssh-private-key=/root/key -- qemu-system-x86_64 -accel tcg -cpu max -m 256 -display none -no-reboot -nodefaults \\
    -serial file:/root/console -kernel $kernel -initrd /root/initrd.gz -append 'console=ttyS0 quiet panic=-1' \\
    -netdev user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:22-10.0.2.15:22 -device virtio-net-pci,netdev=n
  machinectl wait --for=ssh --timeout=5min guest; echo $?`;

describe.skipIf(isStock)(
  isStock ? "a virtual machine of qemu (left out: a feature of machined)" : "a virtual machine of qemu",
  () => {
    let bed: Bed;

    beforeAll(async () => {
      bed = await Bed.boot("virtual-guest", PACKAGES);
      await bed.install();
      await run(MAKE_GUEST);
      expect(await run(START)).toBe("0");
    }, GUARD_MS);

    afterAll(() => bed?.stop(), GUARD_MS);

    function run(script: string): Promise<string> {
      return bed.run(`bash -c "$(base64 -d <<<'${Buffer.from(script).toString("base64")}')"`);
    }

    test(
      "it is in the list, and its status shows the program that runs it",
      async () => {
        expect(await run("machinectl list --no-legend")).toMatch(/^guest +vm +qemu /);
        expect(await run("machinectl status guest")).toMatch(
          /Leader: \d+ \(qemu-system-x86\)[\s\S]*Superv\.: \d+ \(machinectl\)/,
        );
        expect(await run("machinectl doctor guest | grep shell")).toContain("over ssh, at its SSH address");
      },
      GUARD_MS,
    );

    test(
      "exec separates stdout and stderr, and returns the command's exit status",
      async () => {
        expect(await run("machinectl exec guest uname -n; echo $?")).toBe("guest\n0");
        expect(await run("seq 1 100000 | machinectl exec guest wc -l")).toBe("100000");
        expect(await run("machinectl exec guest sh -c 'echo out; echo err >&2; exit 7' 2>/dev/null; echo $?")).toBe(
          "out\n7",
        );
        const random = "head -c 3000000 /dev/urandom > r; machinectl exec guest cat < r | cmp - r && echo same";
        expect(await run(`cd /root; ${random}`)).toBe("same");
        expect(await run("machinectl exec --chdir=/etc --setenv=A='b c' guest sh -c 'pwd; echo $A'")).toBe("/etc\nb c");
        expect(await run("machinectl exec --detach guest true 2>&1; echo $?")).toMatch(
          /--detach is for containers.*\n125$/,
        );
      },
      GUARD_MS,
    );

    test(
      "copy-to and copy-from work",
      async () => {
        const script = `cd /root; mkdir -p d/e; echo hello > d/e/f; machinectl copy-to guest /root/d /tmp/d
        machinectl exec guest cat /tmp/d/e/f; machinectl copy-from guest /tmp/d /root/back; cat back/e/f
        machinectl copy-to guest /root/d/e/f /tmp/d/e/f 2>&1; echo $?`;
        expect(await run(script)).toBe(
          "hello\nhello\nFailed to copy '/root/d/e/f' to '/tmp/d/e/f' in machine 'guest': File exists\n1",
        );
      },
      GUARD_MS,
    );

    test(
      "terminate ends it together with the command that runs it",
      async () => {
        expect(await run("machinectl terminate guest; machinectl wait --for=ended guest; echo $?")).toBe("0");
        expect(
          await run(
            "wait_gone() { while pgrep -f '[q]emu-system' >/dev/null; do sleep .1; done; }; wait_gone; echo gone",
          ),
        ).toBe("gone");
        expect(await run("machinectl events --no-follow --since=@0 --type=machine guest | grep -c started")).toBe("1");
      },
      GUARD_MS,
    );
  },
);
