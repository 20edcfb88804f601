// Transfers on a booted host: machined's clients and daemon, the distribution's client with machined's daemon, a daemon
// that is killed, and an idle one. A test that fails with the distribution's own daemon as well is wrong.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock, systemdVersion } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const TIMEOUT_MS = GUARD_MS;
const URL = "http://127.0.0.1:8000";
/** The distribution's client: importctl if it has one. */
const THEIRS = systemdVersion < 256 ? "/usr/bin/machinectl" : "/usr/bin/importctl --class=machine";
const OURS = "/usr/local/bin/importctl --class=machine";
const clients = isStock
  ? [["theirs", THEIRS]]
  : [
      ["theirs", THEIRS],
      ["ours", OURS],
    ];
const noSysupdate = systemdVersion < 256 ? " (left out: Debian 12 has none)" : "";
const onlyOurs = isStock ? " (left out: about our daemon)" : "";

const PREPARE = `
  mkdir -p /root/t/etc /root/t/usr/lib /root/www; cd /root
  echo ID=x > t/usr/lib/os-release; head -c 300000 /dev/urandom > t/blob; ln t/blob t/etc/link
  chown 7:8 t/blob; chmod 4751 t/blob; setfattr -n user.note -v hello t/blob
  tar -C t --xattrs -czf www/mini.tar.gz .
  truncate -s 2M www/disk.raw; echo end >> www/disk.raw
  (cd www; sha256sum mini.tar.gz disk.raw > SHA256SUMS)
  systemd-run -q --unit=www python3 -m http.server 8000 --bind 127.0.0.1 -d /root/www
  until curl -sf ${URL}/ > /dev/null; do sleep .1; done`;

let bed: Bed;

beforeAll(async () => {
  bed = await Bed.boot("transfers");
  await bed.install();
  await bed.run(PREPARE);
}, TIMEOUT_MS);

afterAll(() => bed.stop(), GUARD_MS);

/** Owner, mode, links and time of everything in a tree. */
const facts = (path: string) => bed.run(`cd ${path}; find . -printf '%p %U:%G %m %n %y %s\\n' | sort`);

describe.each(clients)("with %s client", (name, client) => {
  const image = (what: string) => `${name}-${what}`;

  test(
    "I88 I118 a tree is imported and exported as it is",
    async () => {
      await bed.run(`${client} import-tar /root/www/mini.tar.gz ${image("tar")}`);
      expect(await facts(`/var/lib/machines/${image("tar")}`)).toBe(await facts("/root/t"));
      expect(
        await bed.run(`getfattr --only-values -n user.note /var/lib/machines/${image("tar")}/blob 2>/dev/null`),
      ).toBe("hello");
      for (const suffix of ["tar", "tar.gz", "tar.xz", "tar.bz2"]) {
        const path = `/root/${image("out")}.${suffix}`;
        await bed.run(`${client} export-tar ${image("tar")} ${path}`);
        await bed.run(`rm -rf /root/again; mkdir /root/again; tar -C /root/again -xpf ${path}`);
        expect(await facts("/root/again")).toBe(await facts("/root/t"));
      }
    },
    TIMEOUT_MS,
  );

  test(
    "I102 an existing image is an error, and is replaced with --force",
    async () => {
      const again = await bed.exec(`${client} import-tar /root/www/mini.tar.gz ${image("tar")}; exit $?`);
      expect(again.code).toBe(1);
      expect(again.output).toContain(`Image '${image("tar")}' already exists.`);
      await bed.run(`${client} --force import-tar /root/www/mini.tar.gz ${image("tar")}`);
    },
    TIMEOUT_MS,
  );

  test(
    "I22 I23 the client refuses names that are invalid in this release",
    async () => {
      const refused = name === "theirs" && systemdVersion < 256 ? ["bad name", ".foo", "a/b"] : ["a/b", ".#x"];
      for (const word of refused) {
        const { code } = await bed.exec(`${client} import-tar /root/www/mini.tar.gz '${word}'; exit $?`);
        expect([word, code]).toEqual([word, 1]);
      }
    },
    TIMEOUT_MS,
  );

  test(
    "I119 I104 a disk image is imported and exported byte for byte, with its holes",
    async () => {
      await bed.run(`${client} import-raw /root/www/disk.raw ${image("raw")}`);
      await bed.run(`${client} export-raw ${image("raw")} /root/${image("out")}.raw.xz`);
      await bed.run(`xz -dc /root/${image("out")}.raw.xz | cmp - /root/www/disk.raw`);
      expect(Number(await bed.run(`stat -c %b /var/lib/machines/${image("raw")}.raw`))).toBeLessThan(1000);
    },
    TIMEOUT_MS,
  );

  test(
    "I112 a directory is imported",
    async () => {
      await bed.run(`${client} import-fs /root/t ${image("fs")}`);
      expect(await facts(`/var/lib/machines/${image("fs")}`)).toBe(await facts("/root/t"));
    },
    TIMEOUT_MS,
  );

  test(
    "I101 I120 imports read from pipes, and exports write to pipes",
    async () => {
      await bed.run(`cat /root/www/mini.tar.gz | ${client} import-tar - ${image("pipe")}`);
      await bed.run(`cd /root/t; ${client} -q export-tar ${image("pipe")} - | tar --compare -f -`);
    },
    TIMEOUT_MS,
  );

  test(
    "C133 C134 I9 a transfer is listed and cancelled; a client that follows it fails",
    async () => {
      const output = await bed.run(`
        mkfifo /root/${name}.fifo; (sleep 1000 > /root/${name}.fifo) & writer=$!
        ${client} -q import-tar /root/${name}.fifo ${image("never")} > /dev/null & follower=$!
        until id=$(${client} list-transfers --no-legend | awk '/import-tar/ {print $1}'); [ "$id" ]; do sleep .1; done
        ${client} list-transfers | head -2 | tail -1
        ${client} cancel-transfer $id; wait $follower; echo "follower $?"
        kill $writer; ${client} list-transfers; ls -A /var/lib/machines | grep -c '^\\.#tar' || true`);
      expect(output).toMatch(new RegExp(`import-tar +(machine +)?${image("never")}`));
      expect(output).toContain("follower 1\nNo transfers.\n0");
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(isStock)(`machined's transfer daemon${onlyOurs}`, () => {
  const PID = "$(systemctl show -P MainPID systemd-importd.service)";

  test.each(clients)(
    "I75 I110 a download by %s client is verified and cached, and one without checksums is refused",
    async (name, client) => {
      await bed.run(`${client} --verify=checksum pull-tar ${URL}/mini.tar.gz ${name}-pulled`);
      expect(await facts(`/var/lib/machines/${name}-pulled`)).toBe(await facts("/root/t"));
      await bed.run(`${client} --verify=checksum pull-raw ${URL}/disk.raw ${name}-disk`);
      await bed.run(`cmp /root/www/disk.raw /var/lib/machines/${name}-disk.raw`);
      expect(await bed.run("ls -A /var/lib/machines | grep -c '^\\.\\(tar\\|raw\\)-http'")).toBe("2");
      const unsigned = await bed.exec(`${client} pull-tar ${URL}/mini.tar.gz ${name}-unsigned`);
      expect(unsigned.code).toBe(1);
    },
    TIMEOUT_MS,
  );

  test("runs in the sandbox of its unit", async () => {
    await bed.run("importctl list-transfers");
    expect(await bed.run(`readlink /proc/${PID}/exe`)).toBe("/usr/local/lib/machined/machined");
    const status = await bed.run(`grep -e NoNewPrivs -e Seccomp: /proc/${PID}/status`);
    expect(status.replace(/\s+/g, " ")).toBe("NoNewPrivs: 1 Seccomp: 2");
  });

  test("I41 is started by a connection to its Varlink socket", async () => {
    await bed.run("systemctl stop systemd-importd.service");
    const ping = `printf '{"method":"io.systemd.service.Ping"}\\0' | socat -t5 - UNIX:/run/systemd/io.systemd.Import`;
    expect(await bed.run(`${ping} | tr -d '\\0'`)).toBe("{}");
    expect(await bed.run("stat -c %a /run/systemd/io.systemd.Import")).toBe("666");
    await bed.run("systemctl is-active systemd-importd.service");
  });

  test.skipIf(systemdVersion < 256)(
    `downloads a disk image and a tree for systemd-sysupdate with its worker${noSysupdate}`,
    async () => {
      await bed.run(`
        cd /root/www; cp disk.raw disk_2.raw; cp mini.tar.gz tree_2.tar.gz; sha256sum disk_2.raw tree_2.tar.gz > SHA256SUMS
        mkdir -p /root/defs /root/updates; cd /root/defs
        printf '[Source]\nType=url-file\nPath=${URL}/\nMatchPattern=disk_@v.raw\n' > 1.transfer
        printf '[Target]\nType=regular-file\nPath=/root/updates\nMatchPattern=disk_@v.raw\n' >> 1.transfer
        printf '[Source]\nType=url-tar\nPath=${URL}/\nMatchPattern=tree_@v.tar.gz\n' > 2.transfer
        printf '[Target]\nType=directory\nPath=/root/updates\nMatchPattern=tree_@v\n' >> 2.transfer
        printf '#!/bin/sh\necho "$*" >> /root/calls\nexec /usr/local/lib/machined/systemd-pull "$@"\n' > /root/pull
        chmod +x /root/pull`);
      const sysupdate = "/usr/lib/systemd/systemd-sysupdate --definitions=/root/defs --verify=no";
      await bed.run(`SYSTEMD_PULL_PATH=/root/pull ${sysupdate} update`);
      expect(await bed.run("cmp /root/www/disk.raw /root/updates/disk_2.raw")).toBe("");
      expect(await facts("/root/updates/tree_2")).toBe(await facts("/root/t"));
      const calls = (await bed.run("cat /root/calls")).split("\n");
      const verbs = calls.map((call) => call.split(" ").slice(0, 2).join(" "));
      expect(new Set(verbs)).toEqual(new Set(["raw --direct", "tar --direct"]));
      // The list is downloaded as a separate file, and its signature has to be valid.
      const sign = "gpg -q --batch --yes --passphrase '' --detach-sign -o SHA256SUMS.gpg SHA256SUMS";
      // The agent is started first: gpg(1) would wait for it for five seconds only.
      await bed.run(`
        gpg-agent -q --daemon > /dev/null 2>&1 < /dev/null || gpg-agent -q
        cd /root/www; gpg -q --batch --passphrase '' --quick-gen-key test@example.com ed25519 sign
        gpg -q --export > /root/ring.gpg; cp disk.raw disk_3.raw; cp mini.tar.gz tree_3.tar.gz
        sha256sum disk_3.raw tree_3.tar.gz > SHA256SUMS; ${sign}
        printf '#!/bin/sh\nSYSTEMD_OPENPGP_KEYRING=/root/ring.gpg exec /usr/local/lib/machined/systemd-pull "$@"\n' > /root/pull`);
      const verified = sysupdate.replace("--verify=no", "--verify=yes");
      await bed.run(`SYSTEMD_PULL_PATH=/root/pull ${verified} update`);
      expect(await bed.run("cmp /root/www/disk.raw /root/updates/disk_3.raw; ls -A /root/updates")).toBe(
        "disk_2.raw\ndisk_3.raw\ntree_2\ntree_3",
      );
      await bed.run("cd /root/www; cp disk.raw disk_4.raw; sha256sum disk_4.raw >> SHA256SUMS");
      const forged = await bed.exec(`SYSTEMD_PULL_PATH=/root/pull ${verified} update; exit $?`);
      expect([forged.code, forged.output]).toEqual([1, expect.stringContaining("DOWNLOAD INVALID")]);
      await bed.run("cd /root/www; sha256sum mini.tar.gz disk.raw > SHA256SUMS; rm -f SHA256SUMS.gpg");
    },
    TIMEOUT_MS,
  );

  test(
    "I27 asks polkit about callers other than root",
    async () => {
      const busctl =
        "setpriv --reuid=65534 --regid=65534 --clear-groups busctl --no-pager call org.freedesktop.import1";
      const call = `${busctl} /org/freedesktop/import1 org.freedesktop.import1.Manager`;
      const refused = "requires interactive authentication";
      const refusal = (member: string) => bed.run(`${call} ${member}; [ $? = 1 ]`);
      expect(await refusal("PullTar sssb http://x/y a no 0")).toContain(refused);
      expect(await refusal("CancelTransfer u 4711")).toContain(refused);
      expect(await bed.run(`${call} ListTransfers`)).toBe("a(usssdo) 0");
      expect(await bed.run(`${call} ListImages st machine 0 | cut -c1-14`)).toBe("a(ssssbtttttt)");
    },
    TIMEOUT_MS,
  );

  test(
    "I135 makes images with a user's own worker, which removes incomplete ones also with unusual permissions",
    async () => {
      const output = await bed.run(`
        mkdir -p /root/u/shut /root/u/usr/lib; cd /root/u; echo x > a; echo x > shut/in; echo ID=x > usr/lib/os-release
        chown -R 4711:4711 .; chmod 0 shut; tar -cf /tmp/good.tar .
        echo x > z; chown 8:8 z; tar --sort=name -cf /tmp/others.tar .
        rm z; mknod z c 1 3; chown 4711:4711 z; tar --sort=name -cf /tmp/device.tar .
        mkdir /home/u; chown 4711:4711 /home/u; cd /
        for i in good others device; do
          setpriv --reuid=4711 --regid=4711 --clear-groups env HOME=/home/u \\
            /usr/local/lib/machined/systemd-import --user tar /tmp/$i.tar $i 2>&1 | grep -v '^Imported ' | sed -n 2p
        done
        cd /home/u/.local/state/machines; ls -A; stat -c '%u %a' good/shut/in good/shut`);
      expect(output.split("\n")).toEqual([
        "Operation completed successfully.",
        "Archive has files of user 8 and group 8, and only root can make files of other users here",
        "Archive has the device node './z', which cannot be made here",
        "good",
        "4711 644",
        "4711 0",
      ]);
    },
    TIMEOUT_MS,
  );

  test(
    "I36 I37 leaves no worker when it is killed, and the next daemon removes the worker's files",
    async () => {
      await bed.run(`
        mkfifo /root/kill.fifo; (sleep 1000 > /root/kill.fifo) & writer=$!
        ${OURS} -q import-tar /root/kill.fifo never > /dev/null 2>&1 & follower=$!
        until ls -A /var/lib/machines | grep -q '^\\.#tar'; do sleep .1; done
        kill -9 ${PID}; wait $follower; [ $? = 1 ] || exit 10
        until ! pgrep -f '[s]ystemd-import ' > /dev/null; do sleep .1; done; kill $writer
        importctl list-transfers
        until ! ls -A /var/lib/machines | grep -q '^\\.#tar'; do sleep .1; done`);
    },
    TIMEOUT_MS,
  );

  test(
    "I32 exits when idle, and the next call starts it again",
    async () => {
      await bed.run("importctl list-transfers");
      const pid = await bed.run(`echo ${PID}`);
      await bed.run("until ! systemctl -q is-active systemd-importd; do sleep .1; done");
      expect(await bed.run("systemctl show -P Result systemd-importd.service")).toBe("success");
      expect(await bed.run("importctl list-transfers")).toBe("No transfers.");
      expect(await bed.run(`echo ${PID}`)).not.toBe(pid);
    },
    TIMEOUT_MS,
  );

  test(
    "is replaced by the distribution's daemon after uninstalling",
    async () => {
      await bed.uninstall();
      const list = systemdVersion < 256 ? "/usr/bin/machinectl list-transfers" : "/usr/bin/importctl list-transfers";
      expect(await bed.run(list)).toBe("No transfers.");
      expect(await bed.run(`readlink /proc/${PID}/exe`)).toBe("/usr/lib/systemd/systemd-importd");
      await bed.run("test -x /usr/lib/systemd/systemd-pull && ! test -L /usr/lib/systemd/systemd-pull");
    },
    TIMEOUT_MS,
  );
});
