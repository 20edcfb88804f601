// Copies and bind mounts with booted containers: one with a user namespace (deb1), one without (nu).
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const TIMEOUT_MS = GUARD_MS;
const OURS = isStock ? " (left out: a feature of machined)" : "";
const SWAPS = 100_000;
const START_NU = `systemd-run --unit=nu -q -p KillMode=mixed -p Type=notify systemd-nspawn -q --keep-unit --register=yes \\
  -M nu -xb -D /var/lib/machines/deb1 --private-network --notify-ready=yes`;

/** A tree with everything that a copy keeps; every owner is root, as after a copy into and out of a user namespace. */
const MAKE_TREE = `rm -rf /tmp/tree; mkdir -p /tmp/tree/sub/deep; cd /tmp/tree
  echo hello >file; ln file hard; ln file sub/hard; ln -s file link; ln -s /nonexistent dangling; mkfifo -m 640 fifo
  python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
  truncate -s 8M hole; printf x | dd of=hole bs=1 seek=4000000 conv=notrunc status=none; mknod null c 1 3
  setfattr -n user.note -v text file; setfattr -n user.note -v text sub; setfacl -m u:1000:rw sub/hard
  setfacl -d -m g:1000:rx sub; chmod 1777 sub/deep; touch -d '2001-02-03 04:05:06.789' file link sub -h`;

/** Describes a tree as GNU tools see it: kinds, modes, owners, sizes, times, links, attributes, ACLs, holes. */
const DESCRIBE = `describe() { (cd $1 && find . -printf '%P %y %m %U %G %s %t %l %n\\n' | grep -v '^ ' | sort
  find . -type f | sort | xargs sha256sum; find . ! -type l | sort | xargs getfattr -d -m - 2>/dev/null
  find . ! -type l | sort | xargs getfacl -n 2>/dev/null
  find . -name hole -printf '%b\\n' | sed 's/^[0-9]\\{1,2\\}$/sparse/'
  find . -type f -links +1 -printf '%i\\n' | sort -u | wc -l); }`;

let bed: Bed;

beforeAll(async () => {
  bed = await Bed.boot("inside-files");
  await bed.install();
  await bed.startContainer("deb1");
  await run(START_NU);
  await run(MAKE_TREE);
}, TIMEOUT_MS);

afterAll(() => bed.stop(), GUARD_MS);

/** Runs a script in the bed, encoded, because `$$` and `${…}` would be replaced on the way. */
function run(script: string): Promise<string> {
  const wrapped = Buffer.from(script).toString("base64");
  return bed.run(`bash -c "$(base64 -d <<<'${wrapped}')"`);
}

for (const machine of ["deb1", "nu"]) {
  test.skipIf(isStock)(
    `a tree that is copied to ${machine} and back equals the result of cp -a${OURS}`,
    async () => {
      const output = await run(`${DESCRIBE}; cd /tmp; rm -rf back again
        machinectl copy-to ${machine} /tmp/tree /root/tree; machinectl copy-from ${machine} /root/tree /tmp/back
        cp -a tree again; describe again >d1; describe back >d2; diff d1 d2 && wc -l <d1`);
      expect(Number(output)).toBeGreaterThan(40);
    },
    TIMEOUT_MS,
  );
}

test(
  "M129 copied into a container with a user namespace, everything belongs to its root, copied to the host to the host's root",
  async () => {
    const leader = "/proc/$(machinectl show -p Leader --value deb1)";
    const output = await run(`machinectl copy-to deb1 /etc/systemd /root/sd; machinectl copy-from deb1 /root/sd /tmp/sd
      find ${leader}/root/root/sd -printf '%U %G\\n' | sort -u; awk '{print $2, $2}' ${leader}/uid_map
      find /tmp/sd -printf '%U %G\\n' | sort -u`);
    const [inside, shift, back] = output.split("\n");
    expect(inside).toBe(shift as string);
    expect(back).toBe("0 0");
  },
  TIMEOUT_MS,
);

test.skipIf(isStock)(
  `file capabilities are copied into a container for its own root; neither they nor set-user-ID are copied out${OURS}`,
  async () => {
    const output = await run(`mkdir -p /tmp/caps; cp /bin/true /tmp/caps/p; chmod 4755 /tmp/caps/p
      setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 /tmp/caps/p
      machinectl copy-to deb1 /tmp/caps /root/caps; machinectl copy-from deb1 /root/caps /tmp/caps-back
      getfattr --absolute-names -d -m security -e hex /proc/$(machinectl show -p Leader --value deb1)/root/root/caps/p | grep -c =0x01000003
      stat -c %a /proc/$(machinectl show -p Leader --value deb1)/root/root/caps/p /tmp/caps-back/p
      getfattr -d -m security /tmp/caps-back/p | wc -l`);
    expect(output.split("\n")).toEqual(["1", "4755", "755", "0"]);
  },
  TIMEOUT_MS,
);

test.skipIf(isStock)(
  `a container that replaces files by links during copies can neither read nor write files of the host${OURS}`,
  async () => {
    const source = readFileSync(join(import.meta.dir, "probe/flip.py")).toString("base64");
    const output = await run(`base64 -d >/root/flip.py <<<'${source}'; python3 /root/flip.py deb1 ${SWAPS}`);
    expect(output).toContain("nothing leaked");
    expect(output).not.toContain(" 0 of ");
  },
  TIMEOUT_MS,
);

test.skipIf(isStock)(
  `M121 M122 a bind mount in a user namespace has the owners of its users, and read-only cannot be removed there${OURS}`,
  async () => {
    const output = await run(
      `mkdir -p /tmp/bb; echo hello >/tmp/bb/f; cd /
      machinectl bind --mkdir deb1 /tmp/bb /mnt/rw; machinectl bind --mkdir --read-only deb1 /tmp/bb /mnt/a/b/ro
      machinectl -q shell deb1 /bin/sh -c 'stat -c %u /mnt/rw/f; echo new >/mnt/rw/new; echo x >/mnt/a/b/ro/x
        mount -o remount,rw,bind /mnt/a/b/ro && echo x >/mnt/a/b/ro/x; cat /mnt/a/b/ro/f; stat -c %a /mnt/a' </dev/null | cat
      [ $PIPESTATUS = 0 ] || echo "status $PIPESTATUS"
      stat -c %u /tmp/bb/new; ls /tmp/bb; ls -A /run/systemd/nspawn/propagate/deb1 | wc -l
      machinectl bind --mkdir deb1 /proc/sys /mnt/sys || true`,
    );
    const lines = output.replaceAll("\r", "").split("\n");
    expect(lines).toContain("hello");
    expect(lines.filter((line) => line === "0")).toHaveLength(3);
    expect(lines).not.toContain("x");
    expect(lines).toContain("755");
    expect(output).not.toMatch(/^status/m);
    expect(output).toContain("Can't bind mount on container with user namespacing applied.");
  },
  TIMEOUT_MS,
);

test(
  "M122 a read-only bind mount works without a user namespace, and mounts of the container do not appear on the host",
  async () => {
    const output = await run(`mkdir -p /tmp/shared/below; echo hello >/tmp/shared/f
      machinectl bind --mkdir nu /tmp/shared; machinectl bind --mkdir --read-only nu /tmp/shared /mnt/ro
      machinectl -q shell nu /bin/sh -c 'cat /tmp/shared/f; touch /mnt/ro/x; mount -t tmpfs t /tmp/shared/below' </dev/null | cat
      [ $PIPESTATUS = 0 ] || echo "status $PIPESTATUS"
      grep -c shared/below /proc/self/mountinfo || true`);
    expect(output).toContain("hello");
    expect(output).toContain("Read-only file system");
    expect(output).not.toMatch(/^status/m);
    if (!isStock) expect(output).toEndWith("\n0");
  },
  TIMEOUT_MS,
);

test.skipIf(isStock)(
  `a copy whose machine ends meanwhile leaves no incomplete files${OURS}`,
  async () => {
    const output = await run(`head -c 400000000 /dev/zero | tr '\\0' x >/tmp/huge; mkdir -p /tmp/dir /tmp/out
      for i in 1 2 3 4; do cp /tmp/huge /tmp/dir/$i; done
      machinectl copy-to nu /tmp/dir /root/dir & copy=$!
      until pgrep -f '[m]achined-worker' >/dev/null || ! kill -0 $copy; do sleep .1; done
      machinectl terminate nu; wait $copy; echo "status $?"
      pgrep -fc '[m]achined-worker'; machinectl copy-to deb1 /tmp/tree/file /root/afterwards && echo goes on`);
    expect(output).toMatch(/status [01]\n0\ngoes on$/);
  },
  TIMEOUT_MS,
);
