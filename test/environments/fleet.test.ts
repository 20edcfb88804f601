// The fleet's agent as a unit, in its sandbox: all requests work, also commands in machines.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const has = !isStock && havePrograms("the agent's unit", "nats-server");

const SET_UP = `
printf 'listen: "127.0.0.1:4222"\\njetstream { store_dir: "/root/nats" }\\n' >/root/nats.conf
systemd-run -q --unit=nats /srv/nats-server -c /root/nats.conf
mkdir -p /etc/machined
printf '[Fleet]\\nUrl=nats://127.0.0.1:4222\\nHost=bed\\nAllow=read lifecycle exec\\n' >/etc/machined/fleet.conf
setup() { machined fleet setup >/dev/null 2>&1; }
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
    "uninstalling ends the agent",
    async () => {
      await bed.uninstall();
      expect((await bed.exec("systemctl is-active machined-fleet.service")).output).toBe("inactive\n");
      expect(await bed.run("find /etc/systemd/system -name 'machined-fleet*'")).toBe("");
    },
    GUARD_MS,
  );
});
