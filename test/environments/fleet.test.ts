// The fleet's agent as a unit, in its sandbox: all requests work, also commands in machines.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const has = !isStock && havePrograms("the agent's unit", "nats-server");

const SERVERS = ["a", "b", "c"];
const URLS = SERVERS.map((_, index) => `nats://127.0.0.1:${4222 + index}`).join(",");

/** Three servers of a cluster, of which each has all records and events. */
const SET_UP = `
n=0
for name in ${SERVERS.join(" ")}; do
  printf 'server_name: %s\nlisten: "127.0.0.1:%s"\njetstream { store_dir: "/root/%s" }\n' $name $((4222 + n)) $name >/root/$name.conf
  printf 'cluster { name: c, listen: "127.0.0.1:%s", routes: [%s] }\n' $((6222 + n)) \
    '"nats://127.0.0.1:6222", "nats://127.0.0.1:6223", "nats://127.0.0.1:6224"' >>/root/$name.conf
  systemd-run -q --unit=nats-$name -p Restart=no /srv/nats-server -c /root/$name.conf
  n=$((n + 1))
done
mkdir -p /etc/machined
printf '[Fleet]\nUrl=${URLS}\nHost=bed\nAllow=read lifecycle exec\n' >/etc/machined/fleet.conf
setup() { machined fleet --replicas=3 setup >/dev/null 2>&1; }
wait_for setup
systemctl enable -q --now machined-fleet.service
there() { machinectl --fleet list --json=short | grep -q deb1; }
wait_for there`;

describe.skipIf(!has)(isStock ? "the agent's unit (left out: a feature of machined)" : "the agent's unit", () => {
  let bed: Bed;

  beforeAll(async () => {
    bed = await Bed.boot("fleet", [], ["--bind-ro", "/usr/sbin/nats-server:/srv/nats-server"]);
    await bed.install();
    await bed.startContainer("deb1");
    await bed.run(SET_UP);
  }, GUARD_MS);

  afterAll(() => bed?.stop(), GUARD_MS);

  test(
    "machines are described, powered off, started, waited for and ended",
    async () => {
      expect(await bed.run("machinectl --fleet status --json=short bed/deb1")).toContain('"state":"running"');
      expect(await bed.run("machinectl --fleet stats --json=short")).toContain('{"host":"bed","machine":"deb1"');
      await bed.run("machinectl --fleet poweroff bed/deb1 && machinectl --fleet wait --for=ended bed/deb1");
      await bed.run("machinectl --fleet start bed/deb1 && machinectl --fleet wait --for=booted bed/deb1");
      await bed.run("machinectl --fleet terminate bed/deb1 && machinectl --fleet wait --for=ended bed/deb1");
      await bed.run("machinectl --fleet start bed/deb1 && machinectl --fleet wait --for=booted bed/deb1");
    },
    GUARD_MS,
  );

  test(
    "a command in a machine does not run in the agent's sandbox",
    async () => {
      const command = "machinectl --fleet exec bed/deb1 sh -c 'grep NoNewPrivs /proc/self/status; exit 7'";
      expect(await bed.exec(command)).toMatchObject({ code: 7, output: "NoNewPrivs:\t0\n" });
    },
    GUARD_MS,
  );

  test(
    "the agent's share of the host's memory is below 40 MiB: the executable's pages are shared with the daemons",
    async () => {
      const share = "awk '/^Pss:/ { print $2 }' /proc/$(systemctl show -P MainPID machined-fleet.service)/smaps_rollup";
      const kilobytes = Number(await bed.run(share));
      expect(kilobytes).toBeGreaterThan(1024);
      expect(kilobytes).toBeLessThan(40 * 1024);
    },
    GUARD_MS,
  );

  test(
    "when any server of the cluster is killed, machines are powered off, started, waited for, listed and entered",
    async () => {
      for (const name of SERVERS) {
        await bed.run(`systemctl kill --signal=KILL nats-${name}
          machinectl --fleet list --json=short | grep -q deb1
          machinectl --fleet poweroff bed/deb1 && machinectl --fleet wait --for=ended bed/deb1
          machinectl --fleet start bed/deb1 && machinectl --fleet wait --for=booted bed/deb1
          machinectl --fleet exec bed/deb1 true
          systemctl reset-failed nats-${name} 2>/dev/null || true
          systemd-run -q --unit=nats-${name} -p Restart=no /srv/nats-server -c /root/${name}.conf
          setup() { machined fleet --replicas=3 setup >/dev/null 2>&1; }
          wait_for setup`);
      }
      const lines = (
        await bed.run("machinectl --fleet events --no-follow --since=-1h --type=machine --json=short")
      ).split("\n");
      const seen = lines
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as { cursor: string; event: string });
      const all = seen.map(({ event }) => event).filter((event) => event === "started" || event === "ended");
      // Each start has its end, in turn: none is lost or repeated.
      expect(all.map((event, index) => event === (index % 2 === 0 ? "started" : "ended")).every(Boolean)).toBe(true);
    },
    GUARD_MS,
  );

  test(
    "uninstalling ends the agent",
    async () => {
      await bed.uninstall();
      expect((await bed.exec("systemctl is-active machined-fleet.service")).output).toBe("inactive\n");
      expect(await bed.run("find /etc/systemd/system -name 'machined-fleet*'")).toBe("");
    },
    GUARD_MS,
  );
});
