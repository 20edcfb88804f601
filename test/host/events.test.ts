// `machinectl events` in a booted host: real containers, images and transfers, restarts of the daemon, and the
// distribution's own daemon, which keeps no events.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

let bed: Bed;

interface Seen {
  readonly cursor: string;
  readonly type: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

describe.skipIf(isStock)(isStock ? "events (left out: a feature of machined)" : "events", () => {
  beforeAll(async () => {
    bed = await Bed.boot("events");
    await bed.inner("deb1");
  }, GUARD_MS);

  afterAll(() => bed.stop(), GUARD_MS);

  function run(script: string): Promise<string> {
    const wrapped = Buffer.from(script).toString("base64");
    return bed.run(`eval "$(base64 -d <<<'${wrapped}')"`);
  }

  /** Starts a reader in its own unit that writes to a file of its name. */
  function follow(unit: string, command: string): Promise<string> {
    const output = `-p StandardOutput=file:/root/${unit} -p StandardError=file:/root/${unit}.err`;
    return run(`systemd-run -q --unit=${unit} ${output} ${command}`);
  }

  /** Waits until the reader has an event, and returns all that it has. */
  async function seen(unit: string, pattern: string): Promise<Seen[]> {
    const text = await run(`wait_for grep -q '${pattern}' /root/${unit}; cat /root/${unit}`);
    return text.split("\n").map((line) => JSON.parse(line) as Seen);
  }

  test(
    "with the distribution's daemon, starts and ends are reported from its signals, and a line says which events are missing",
    async () => {
      const machinectl = "/srv/machined/machined machinectl";
      await follow("stock", `${machinectl} events`);
      await run("wait_for grep -q 'keeps no events' /root/stock.err");
      // A container that is booting ignores the signal to power off.
      await bed.startContainer("deb1");
      await run(`set -e; wait_for grep -q 'machine started  deb1' /root/stock
        machinectl terminate deb1; wait_for grep -q 'machine ended    deb1' /root/stock`);
      expect(await run("cat /root/stock")).toMatch(
        /^\S+Z machine started {2}deb1 \(container, systemd-nspawn, leader \d+\)\n\S+Z machine ended {4}deb1$/,
      );
      expect(await run(`${machinectl} events --no-follow 2>&1; echo $?`)).toBe(
        "This manager keeps no events: past events cannot be shown\n1",
      );
      await run("systemctl stop stock; wait_for sh -c '! systemctl is-active -q systemd-nspawn@deb1.service'");
    },
    GUARD_MS,
  );

  test(
    "a container's start, address, pause, resume and end are reported to a reader across two restarts of the daemon",
    async () => {
      await bed.install();
      await follow("ev", "machinectl events --json=short");
      // The event of the first machine shows that the reader has subscribed.
      await run(
        "machinectl register first -- true; wait_for sh -c 'machinectl register again -- true; grep -q again /root/ev'",
      );
      await bed.startContainer("deb1");
      const start = await seen("ev", '"event":"started","machine":"deb1"');
      expect(start.find(({ machine }) => machine === "deb1")).toMatchObject({
        ...{ type: "machine", class: "container", service: "systemd-nspawn", unit: "systemd-nspawn@deb1.service" },
        leader: Number(await run("machinectl show -P Leader deb1")),
      });
      await run("nsenter -t $(machinectl show -P Leader deb1) -n ip addr add 10.99.0.7/24 dev host0");
      await seen("ev", '"event":"added","machine":"deb1",.*"address":"10.99.0.7"');
      await run("systemctl restart systemd-machined");
      await run("systemctl freeze systemd-nspawn@deb1.service; wait_for grep -q paused /root/ev");
      await run("systemctl thaw systemd-nspawn@deb1.service; wait_for grep -q resumed /root/ev");
      // Events that a killed daemon has not written yet are reported again by the next one (docs/events.md).
      await run("wait_for grep -q resumed /run/systemd/machine/events");
      await run("systemctl kill -s KILL systemd-machined; wait_for machinectl show deb1 >/dev/null");
      await run("nsenter -t $(machinectl show -P Leader deb1) -n ip addr del 10.99.0.7/24 dev host0 || true");
      await run("machinectl poweroff deb1");
      const all = await seen("ev", '"event":"ended","machine":"deb1"');
      const ofMachine = all.filter(({ machine, type }) => machine === "deb1" && type === "machine");
      const events = ofMachine.map(({ event }) => event).filter((event) => event !== "leader-exited");
      expect(events).toEqual(["started", "paused", "resumed", "ended"]);
      expect(new Set(all.map(({ cursor }) => cursor)).size).toBe(all.length);
      // The same from the log, for a user without any other permission.
      const log = await run("setpriv --reuid=65534 --clear-groups machinectl events --no-follow --type=machine deb1");
      for (const event of ["started", "paused", "resumed", "ended"]) expect(log).toContain(`machine ${event}`);
    },
    GUARD_MS,
  );

  test(
    "images that are cloned, renamed, made read-only and removed are reported, and a transfer's start and end",
    async () => {
      await run('machinectl clone deb1 copy; wait_for grep -q \'"added","image":"copy"\' /root/ev');
      await run('machinectl read-only copy; wait_for grep -q \'"changed","image":"copy"\' /root/ev');
      await run("machinectl read-only copy no; machinectl rename copy other");
      await run('wait_for grep -q \'"added","image":"other"\' /root/ev; grep -q \'"removed","image":"copy"\' /root/ev');
      await run('machinectl remove other; wait_for grep -q \'"removed","image":"other"\' /root/ev');
      await run(`mkdir -p /root/t/usr/lib /root/t/etc; touch /root/t/usr/lib/os-release; tar -C /root/t -cf /root/t.tar .
        importctl import-tar --class=machine /root/t.tar imported >/dev/null 2>&1`);
      const all = await seen("ev", '"type":"transfer","event":"ended"');
      const transfers = all.filter(({ type }) => type === "transfer");
      expect(transfers[0]).toMatchObject({ event: "started", local: "imported", transferType: "import_tar" });
      expect(transfers.at(-1)).toMatchObject({ event: "ended", local: "imported", result: "done" });
      await seen("ev", '"added","image":"imported"');
      await run(
        'head -c 4096 /dev/urandom >/root/bad.tar; importctl import-tar --class=machine --force /root/bad.tar broken >/dev/null 2>&1; wait_for grep -q \'"result":"failed"\' /root/ev',
      );
    },
    GUARD_MS,
  );
});
