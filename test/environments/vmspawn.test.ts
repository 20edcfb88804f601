// `machinectl run -V` and `start -V`: a disk image with a kernel and busybox, run by systemd-vmspawn(1), which starts
// qemu. The processor is emulated, and there is no vsock device, so that the machine cannot say that it has booted, and
// has no SSH address.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock, tree } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const PACKAGES = [
  ...["systemd-container", "qemu-system-x86", "ovmf", "systemd-ukify", "systemd-boot-efi", "linux-image-cloud-amd64"],
  ...["busybox-static", "mtools", "dosfstools", "fdisk", "cpio"],
];

/** Makes the image `vm`: a disk with an EFI partition, whose only file is a kernel with an initrd that never ends. */
const MAKE_IMAGE = `
  set -e; cd /root; mkdir -p g/bin g/proc g/dev
  kernel=$(ls /boot/vmlinuz-* | head -n 1)
  cp /usr/bin/busybox g/bin/
  printf '%s\\n' '#!/bin/busybox sh' '/bin/busybox --install -s /bin; export PATH=/bin' 'mount -t proc proc /proc' \\
    'mount -t devtmpfs dev /dev; echo guest-is-up > /dev/hvc0' 'while :; do sleep 1000; done' > g/init
  chmod 755 g/init; chown -R 0:0 g; (cd g; find . | cpio -o -H newc --quiet | gzip -1) > initrd.gz
  ukify build --linux=$kernel --initrd=initrd.gz --cmdline='console=hvc0 quiet panic=-1' --output=uki.efi
  truncate -s 96M disk.raw; printf 'label: gpt\\nstart=2048, type=uefi\\n' | sfdisk -q disk.raw
  mkfs.vfat --offset 2048 disk.raw 90000 > /dev/null
  mmd -i disk.raw@@1M ::/EFI ::/EFI/BOOT; mcopy -i disk.raw@@1M uki.efi ::/EFI/BOOT/BOOTX64.EFI
  mkdir -p /var/lib/machines; mv disk.raw /var/lib/machines/vm.raw`;

const EMULATED = ["--kvm=no", "--tpm=no", "--secure-boot=no", "--ram=512M"].map((one) => `--vmspawn-option=${one}`);
const RUN = `machinectl run -V --network=user ${EMULATED.join(" ")}`;

const left = isStock
  ? " (left out: a feature of machined)"
  : tree === "forky"
    ? ""
    : " (left out: Debian 12 has no systemd-vmspawn)";

describe.skipIf(left !== "")(`a disk image as a virtual machine${left}`, () => {
  let bed: Bed;

  beforeAll(async () => {
    bed = await Bed.boot("vmspawn", PACKAGES);
    await bed.install();
    await run(MAKE_IMAGE);
  }, GUARD_MS);

  afterAll(() => bed?.stop(), GUARD_MS);

  function run(script: string): Promise<string> {
    return bed.run(`bash -c "$(base64 -d <<<'${Buffer.from(script).toString("base64")}')"`);
  }

  const UP = `wait_for() { until "$@"; do sleep .1; done; }
    up() { journalctl -q -o cat -u machined-run-$1.service | grep -q guest-is-up; }`;

  test(
    "run -V prints its name, and it boots, is listed and is terminated",
    async () => {
      const output = await run(`${UP}
        ${RUN} vm; wait_for up vm; machinectl list --no-legend --columns=name,class,service
        ${RUN} vm; echo $?
        machinectl terminate vm; machinectl wait --for=ended vm; wait_for test ! -e /run/machined-run/vm; echo gone`);
      expect(output).toBe("vm\nvm vm systemd-vmspawn\nMachine 'vm' runs already\n1\ngone");
    },
    GUARD_MS,
  );

  test(
    "with --rm a clone runs, and nothing is left of it at its end",
    async () => {
      const output = await run(`${UP}
        name=$(${RUN} --rm vm); wait_for up $name; ls /var/lib/machines | grep -c $name
        machinectl terminate $name; wait_for test ! -e /run/machined-run/$name; ls /var/lib/machines | grep -c $name || true`);
      expect(output).toMatch(/^[1-9]\n0$/);
    },
    GUARD_MS,
  );

  test(
    "without an SSH address a command is an error, and the machine ends",
    async () => {
      const output = await run(`${RUN} --rm --name=once vm true; echo $?
        machinectl list; ls /var/lib/machines | grep -c once; ls -A /run/machined-run`);
      expect(output).toBe(
        "Machine 'once' has no SSH address, over which commands are run in virtual machines\n125\nNo machines.\n0",
      );
    },
    GUARD_MS,
  );

  test(
    "options of containers are errors",
    async () => {
      const output =
        await run(`for option in --port=80 --nspawn-option=-x --network=host -EA=b; do ${RUN} $option vm; done
        machinectl run --vmspawn-option=x vm; machinectl run --network=user vm || true`);
      expect(output.split("\n")).toEqual([
        "--port= is for containers: leave it or -V out",
        "--nspawn-option= is for containers: leave it or -V out",
        "A virtual machine has no network 'host': use --network=none, veth, user",
        "--setenv= is for containers and commands: the init of a virtual machine takes no variables",
        "--vmspawn-option= is for virtual machines: add -V",
        "--network=user is for virtual machines: add -V",
      ]);
    },
    GUARD_MS,
  );
});
