// Names and users of a booted container through the C library: with the distribution's NSS module and with machined's.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

let bed: Bed;

beforeAll(async () => {
  bed = await Bed.boot("nss");
  await bed.install();
  await bed.startContainer("deb1");
  await bed.run(`both() { case $(busctl call org.freedesktop.machine1 /org/freedesktop/machine1 \
        org.freedesktop.machine1.Manager GetMachineAddresses s deb1) in *" 2 4 "*" 10 16 "*) ;; *) false;; esac; }
      wait_for both`);
  // A VM, a container in the host's network, one whose network has no address.
  await bed.run(`systemd-run -q --unit=vm sleep 900; systemd-run -q --unit=shared sleep 900
    systemd-run -q --unit=bare -p PrivateNetwork=yes sleep 900
    for u in vm shared bare; do class=container; [ $u = vm ] && class=vm
      busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager RegisterMachine \
        sayssus $u 0 test $class $(systemctl show -P MainPID $u) ""; done`);
}, GUARD_MS);

afterAll(() => bed.stop(), GUARD_MS);

const MODULE = "libnss_mymachines.so.2";

function lookups(whose: "distribution" | "own"): void {
  test("V1 V2 getent ahosts returns every address, link-local ones with the interface", async () => {
    const output = await bed.run("getent -s mymachines ahosts deb1");
    expect(output).toMatch(/^(192\.168|10\.|169\.254)[\d.]+\s+STREAM/m);
    expect(output).toMatch(/^fe80::[0-9a-f:]+%\d+\s+STREAM/m);
  });

  test("V4 getent ahostsv6 prints no interface with link-local addresses", async () => {
    expect(await bed.run("getent -s mymachines ahostsv6 deb1")).not.toContain("%");
  });

  // The distribution's module reads the file; machined's gets the interfaces from the daemon.
  test.skipIf(whose === "own")(
    `V3 with two interfaces, addresses have no scope${whose === "own" ? " (left out: machined's module gets the interface from the daemon)" : ""}`,
    async () => {
      await bed.run("sed -i.keep 's/^NETIF=.*/NETIF=\"1 2\"/' /run/systemd/machines/deb1");
      expect(await bed.run("getent -s mymachines ahosts deb1")).not.toContain("%");
      await bed.run("mv /run/systemd/machines/deb1.keep /run/systemd/machines/deb1");
    },
  );

  test("V5 V6 V7 V8 V12 unknown names, VMs, shared and empty networks and other spellings have no address", async () => {
    for (const name of ["nosuch", "vm", "shared", "bare", "DEB1", "a_b", ".host"]) {
      const { code, output } = await bed.exec(`getent -s mymachines hosts ${name}`);
      expect(`${name} ${code} ${output}`).toBe(`${name} 2 `);
    }
  });

  test("V9 a lookup during the daemon's own start does not wait for it", async () => {
    const env = "SYSTEMD_ACTIVATION_UNIT=systemd-machined.service SYSTEMD_ACTIVATION_SCOPE=system";
    const { code } = await bed.exec(`${env} getent -s mymachines hosts deb1`);
    expect(code).toBe(2);
  });

  if (whose === "own") {
    test("users and groups are resolved by the module as well", async () => {
      const output = await bed.run(`shift=$(busctl call org.freedesktop.machine1 \
          /org/freedesktop/machine1/machine/deb1 org.freedesktop.machine1.Machine GetUIDShift | cut -d' ' -f2)
        getent -s mymachines passwd vu-deb1-7 $((shift+9)); getent -s mymachines group vg-deb1-3 $((shift+4))`);
      expect(output).toMatch(
        /^vu-deb1-7:x:\d+:65534:UID 7 of Container deb1:\/:\/usr\/sbin\/nologin\nvu-deb1-9:.*\nvg-deb1-3:x:\d+:\nvg-deb1-4:/,
      );
    });

    test(
      "while the daemon is stopped by SIGSTOP, every look-up ends within 3 s, and look-ups of other users at once",
      async () => {
        const pid = "$(systemctl show -P MainPID systemd-machined.service)";
        const output = await bed.run(`kill -STOP ${pid}
        t() { local a=$(date +%s%N); "$@" >/dev/null; echo $(( ($(date +%s%N) - a) / 1000000 )); }
        t getent -s mymachines hosts deb1; t getent -s mymachines ahosts deb1
        t getent -s mymachines passwd nosuchuser; t getent -s mymachines passwd 1000; t getent -s mymachines hosts nosuch
        kill -CONT ${pid}`);
        const [hosts = 9e9, ahosts = 9e9, ...others] = output.split("\n").map(Number);
        expect(Math.max(hosts, ahosts)).toBeLessThan(3000);
        expect(Math.max(...others)).toBeLessThan(500);
      },
      GUARD_MS,
    );

    test(
      "look-ups in eight threads at the same time succeed, and so do those in sixty children after a fork",
      async () => {
        // Not both in one process: the C library's own locks do not survive a fork during look-ups in other threads.
        const script = `import os, socket, threading
bad = []
def work():
    for _ in range(100):
        try:
            if not socket.getaddrinfo(b"deb1", None): bad.append(1)
        except OSError as e: bad.append(e)
kids = []
for _ in range(60):
    pid = os.fork()
    if pid == 0:
        try: os._exit(0 if socket.getaddrinfo(b"deb1", None) else 1)
        except OSError: os._exit(2)
    kids.append(pid)
codes = [os.waitpid(pid, 0)[1] for pid in kids]
threads = [threading.Thread(target=work) for _ in range(8)]
[t.start() for t in threads]
[t.join() for t in threads]
print(len(bad), sum(c != 0 for c in codes), bad[:1])`;
        expect(await bed.run(`python3 -c '${script}'`)).toBe("0 0 []");
      },
      GUARD_MS,
    );
  }
}

describe("the distribution's NSS module", () => lookups("distribution"));

const reason = isStock ? " (left out: it asks our daemon)" : "";

describe.skipIf(isStock)(`machined's NSS module${reason}`, () => {
  beforeAll(async () => {
    // As on a host whose distribution has no such module.
    await bed.run(`lib=$(find /usr/lib -name ${MODULE}); mv "$lib" /root/distribution.so; cp /etc/nsswitch.conf /root/
      sed -i 's/ mymachines//' /etc/nsswitch.conf; cp /etc/nsswitch.conf /root/without
      machined install --now --nss`);
  }, GUARD_MS);

  test("the module is installed in the C library's directory, and nsswitch.conf names it", async () => {
    expect(await bed.run("grep -c mymachines /etc/nsswitch.conf")).toBe("3");
    expect(await bed.run(`find /usr/lib -name ${MODULE} | wc -l`)).toBe("1");
    expect(await bed.run("getent hosts deb1")).toContain("deb1");
  });

  lookups("own");

  test("V10 the helper program resolves names through the daemon, and exits with 2 for unknown ones", async () => {
    expect(await bed.run("machined nss-mymachines hosts deb1")).toContain("deb1");
    const { code } = await bed.exec("machined nss-mymachines hosts nosuch");
    expect(code).toBe(2);
  });

  test("uninstall removes the module and restores nsswitch.conf", async () => {
    await bed.run("machined uninstall --now");
    expect(
      await bed.run(`find /usr/lib -name ${MODULE} | wc -l; cmp /etc/nsswitch.conf /root/without && echo same`),
    ).toBe("0\nsame");
  });
});
