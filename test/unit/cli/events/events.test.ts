// `machinectl events`: what is printed, also with a manager that keeps no log of events.
import { describe, expect, test } from "bun:test";
import { ErrnoError } from "../../../../src/base/error.ts";
import { eventLine, type SeenEvent, subjectOf } from "../../../../src/cli/events/event.ts";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import type { Varlink } from "../../../../src/cli/session/ports.ts";
import { FakeProcess, type Surroundings, WORLDS, type World } from "../fake-world.ts";

const ONE = WORLDS["one"] as World;
const TIME = 1795828416674092;

/** Its time is that of the question, which is later than the events in the log. */
const BEGIN = { cursor: "c0", time: TIME + 60e6, type: "log", event: "begin" };
const STARTED = {
  ...{ cursor: "c1", time: TIME, type: "machine", event: "started", machine: "deb1", class: "container" },
  ...{ service: "systemd-nspawn", leader: 1186 },
};
const ENDED = {
  cursor: "c2",
  time: TIME + 5e6,
  type: "machine",
  event: "ended",
  machine: "web-2",
  how: "exited",
  status: 3,
};
const MISSED = { cursor: "c3", time: TIME + 6e6, type: "log", event: "missed", count: 12 };
const END = { cursor: "c3", time: TIME + 6e6, type: "log", event: "end" };

/** A client whose manager has a log: each connection returns some replies, and may fail after them. */
class LoggedProcess extends FakeProcess {
  readonly asked: unknown[] = [];
  readonly connections: (readonly object[] | { readonly replies: readonly object[]; readonly error: Error })[] = [];

  override connectPlainVarlink = async (): Promise<Varlink> => {
    const { asked } = this;
    const next = this.connections.shift() ?? [];
    const { replies, error } = Array.isArray(next) ? { replies: next, error: null } : (next as never);
    return {
      async *callMore(_method: string, parameters: object) {
        asked.push(parameters);
        yield* replies;
        if (error !== null) throw error;
      },
      close: () => {},
    } as unknown as Varlink;
  };
}

async function run(args: readonly string[], ...connections: LoggedProcess["connections"]) {
  return runOn({}, args, ...connections);
}

async function runOn(around: Surroundings, args: readonly string[], ...connections: LoggedProcess["connections"]) {
  const process = new LoggedProcess(ONE, around);
  process.connections.push(...connections);
  const code = await runMachinectl(["events", ...args], process);
  return { code, stdout: process.stdout, stderr: process.stderr, asked: process.asked };
}

describe("machinectl events", () => {
  test("each event is one line on stdout, and missed events are counted on stderr", async () => {
    const { code, stdout, stderr } = await run([], [BEGIN, STARTED, ENDED, MISSED, END]);
    expect(stdout).toBe(
      "2026-11-28T01:13:36Z machine started  deb1 (container, systemd-nspawn, leader 1186)\n" +
        "2026-11-28T01:13:41Z machine ended    web-2 (exited 3)\n",
    );
    expect([code, stderr]).toEqual([0, "12 events were missed\n"]);
  });

  test("--filter= leaves out events, also of those that -n counts; --columns= and --template= print fields", async () => {
    const replies = [BEGIN, STARTED, ENDED, MISSED, END];
    const filtered = await run(["--filter=event=st*", "-n", "1", "--no-follow"], replies);
    expect(filtered.stdout).toBe(
      "2026-11-28T01:13:36Z machine started  deb1 (container, systemd-nspawn, leader 1186)\n",
    );
    const columns = await run(["--columns=time,name,leader", "--filter=how="], replies);
    expect([columns.stdout, columns.stderr]).toEqual(["2026-11-28T01:13:36Z deb1 1186\n", "12 events were missed\n"]);
    const objects = await run(["--columns=name,leader,status", "--json=short", "--filter=type=mach*"], replies);
    const [first, second] = objects.stdout.split("\n").map((line) => (line === "" ? null : JSON.parse(line)));
    expect([first, second]).toEqual([
      { name: "deb1", leader: 1186, status: null },
      { name: "web-2", leader: null, status: 3 },
    ]);
    const lines = await run(["--template={{time}}\\t{{event}} {{name}} {{status}}"], replies);
    expect(lines.stdout).toBe(`${TIME}\tstarted deb1 \n${TIME + 5e6}\tended web-2 3\n`);
  });

  test("events are not sorted, and an unknown column is an error", async () => {
    const sorted = await run(["--sort=name"], []);
    expect([sorted.code, sorted.stderr]).toEqual([
      1,
      "--sort= cannot be used: events are printed in the order in which they happened\n",
    ]);
    const unknown = await run(["--filter=nmae=deb1"], []);
    expect([unknown.code, unknown.stderr.split("\n")[0]]).toEqual([
      1,
      "Unknown column 'nmae' of --filter=, did you mean 'name'?",
    ]);
    const columns = await run(["--columns=help"], []);
    expect([columns.code, columns.asked]).toEqual([0, []]);
  });

  test("where there is no connection before the time of --until=, that is an error, not a time without events", async () => {
    class SilentProcess extends FakeProcess {
      override connectPlainVarlink = () => new Promise<Varlink>(() => {});
      override connectBus = () => new Promise<never>(() => {});
    }
    const process = new SilentProcess(ONE, {});
    expect(await runMachinectl(["events", "--until=+10ms"], process)).toBe(1);
    expect(process.stderr).toBe("There was no connection before the time of '--until='\n");
  });

  test("with --json each line is an object, also the one about missed events", async () => {
    const { stdout, stderr } = await run(["--json=short"], [BEGIN, STARTED, MISSED, END]);
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([STARTED, MISSED]);
    expect(stderr).toBe("");
  });

  test("names, types and --since are sent to the daemon; patterns and --until are applied by the client", async () => {
    const named = await run(["deb1,web-2", "--type=machine", "--no-follow"], [BEGIN, ENDED, END]);
    expect(named.asked).toEqual([{ sinceUSec: 0, names: ["deb1", "web-2"], types: ["machine"], follow: false }]);
    const pattern = await run(["web*", "--since=@1795828000"], [BEGIN, STARTED, ENDED, END]);
    expect(pattern.asked).toEqual([{ sinceUSec: 1795828000e6, follow: true }]);
    expect(pattern.stdout).toContain("web-2");
    expect(pattern.stdout).not.toContain("deb1");
    const until = await run(["--since=@1795828000", "--until=@1795828420"], [BEGIN, STARTED, ENDED, END]);
    expect(until.stdout).toContain("started");
    expect(until.stdout).not.toContain("ended");
    const past = await run(["--until=@1795828420", "--no-follow"], [BEGIN, STARTED, ENDED, END]);
    expect(past.stdout).toContain("started");
  });

  test("-n prints the last matching events of the log, and then new ones", async () => {
    const past = [BEGIN, MISSED, STARTED, ENDED, END];
    const later = { ...STARTED, cursor: "c9", machine: "later" };
    const last = await run(["-n", "1"], past, [BEGIN, later, END]);
    expect(last.asked).toEqual([
      { sinceUSec: 0, follow: false },
      { cursor: "c3", follow: true },
    ]);
    expect(last.stdout.split("\n").map((line) => line.split(/ +/)[3])).toEqual(["web-2", "later", undefined]);
    expect(last.stderr).toBe("");
    const old = await run(["-n9", "--no-follow", "--type=machine", "deb*"], past);
    expect(old.asked).toEqual([{ sinceUSec: 0, types: ["machine"], follow: false }]);
    expect(old.stdout).toMatch(/^\S+ machine started {2}deb1 .*\n$/);
    expect((await run(["-n", "0"], past, [BEGIN, later, END])).stdout).toMatch(/^\S+ machine started {2}later .*\n$/);
    const after = await run(["-n1", "--after-cursor=c0"], past, [BEGIN, END]);
    expect(after.asked).toEqual([
      { cursor: "c0", follow: false },
      { cursor: "c3", follow: true },
    ]);
  });

  test("-n with a manager without a log, or with --fleet, is an error", async () => {
    const process = new FakeProcess(ONE);
    expect(await runMachinectl(["events", "-n", "5"], process)).toBe(1);
    expect(process.stderr).toBe("This manager keeps no events: past events cannot be shown\n");
    const fleet = await run(["-n", "5", "--fleet=nats://127.0.0.1:1"]);
    expect([fleet.code, fleet.stderr]).toEqual([1, "With --fleet, the last events cannot be counted: use --since=\n"]);
  });

  test("a line that is too long for the terminal continues indented on the next one, but not with -l", async () => {
    const narrow: Surroundings = { columns: 50, env: { TERM: "dumb" } };
    expect((await runOn(narrow, ["--no-follow"], [BEGIN, STARTED, END])).stdout).toBe(
      "2026-11-28T01:13:36Z machine started  deb1\n    (container, systemd-nspawn, leader 1186)\n",
    );
    const whole = "2026-11-28T01:13:36Z machine started  deb1 (container, systemd-nspawn, leader 1186)\n";
    expect((await runOn(narrow, ["--no-follow", "-l"], [BEGIN, STARTED, END])).stdout).toBe(whole);
    expect((await run(["--no-follow"], [BEGIN, STARTED, END])).stdout).toBe(whole);
  });

  test("after a daemon ends, the client reconnects and continues after the last event", async () => {
    const lost = new ErrnoError("ECONNRESET", "Connection terminated");
    const { code, stdout, asked } = await run([], { replies: [BEGIN, STARTED], error: lost }, [BEGIN, ENDED, END]);
    expect(asked).toEqual([{ follow: true }, { cursor: "c1", follow: true }]);
    expect([code, stdout.split("\n").length]).toEqual([0, 3]);
  });

  test("a connection that is lost before the first event is an error with the reason, and a silent daemon is not asked again", async () => {
    const lost = { replies: [], error: new ErrnoError("ECONNRESET", "Connection terminated") };
    const stderr = "Failed to read events of systemd-machined: Connection reset by peer\n";
    expect(await run([], lost)).toMatchObject({ code: 1, stderr });
    const silent = {
      replies: [STARTED],
      error: new ErrnoError("ETIMEDOUT", "No answer from systemd-machined in time"),
    };
    const { code, stderr: said, asked } = await run([], silent);
    expect([code, said]).toEqual([1, "Failed to read events of systemd-machined: Connection timed out\n"]);
    expect(asked).toHaveLength(1);
  });

  test("a parameter that the daemon does not accept is named, and no cursor is blamed for it", async () => {
    const refused = (parameter: string) => {
      const id = "org.varlink.service.InvalidParameter";
      return { replies: [], error: Object.assign(new Error(id), { id, parameters: { parameter } }) };
    };
    expect((await run(["--after-cursor=c1"], refused("cursor"))).stderr).toContain("has the cursor 'c1'");
    const types = await run(["--after-cursor=c1", "--type=machine"], refused("types"));
    expect(types.stderr).toBe(
      "Failed to read events: the daemon, which may be of an older release, does not accept 'types'\n",
    );
  });

  test("invalid times and types are refused", async () => {
    expect(await run(["--since=soon"])).toMatchObject({ code: 1, stderr: "Failed to parse timestamp: soon\n" });
    expect(await run(["--type=machine,weather"])).toMatchObject({ code: 1 });
  });

  test("a manager without a log is followed by its signals, and the client prints what these do not show", async () => {
    const process = new FakeProcess(ONE);
    const pressed = Promise.withResolvers<void>();
    process.interrupt = pressed.promise;
    const code = runMachinectl(["events"], process);
    while (!process.stderr.includes("keeps no events")) await new Promise((resolve) => setImmediate(resolve));
    pressed.resolve();
    expect(await code).toBe(0);
    expect(process.stderr).toBe(
      "This manager keeps no events: only starts and ends of machines are shown, from now on, and not how they end.\n",
    );
    const past = new FakeProcess(ONE);
    expect(await runMachinectl(["events", "--no-follow"], past)).toBe(1);
    expect(past.stderr).toBe("This manager keeps no events: past events cannot be shown\n");
    const other = new FakeProcess(ONE);
    expect(await runMachinectl(["events", "--type=image"], other)).toBe(1);
    expect(other.stderr).toBe("This manager keeps no events: only the starts and ends of machines can be shown\n");
  });

  test("an event of any content is a line: another host may have written it", () => {
    const values = [
      1e300,
      -1,
      "x",
      null,
      {},
      [[]],
      JSON.parse('{"toString":1}'),
      JSON.parse('{"__proto__":{"a":1}}'),
      true,
    ];
    const fields = ["time", "machine", "image", "local", "status", "signal", "count", "progress", "how", "leader"];
    for (const type of ["machine", "image", "transfer", "resource", "constructor", "__proto__", "toString"]) {
      for (const field of fields) {
        for (const value of values) {
          for (const how of ["exited", "killed", undefined]) {
            const event = { time: 1, type, event: "ended", how, [field]: value } as unknown as SeenEvent;
            expect(eventLine(event)).toMatch(/^[-+\d]+T[\d:]+Z [^\n]+$/);
            expect(subjectOf(event)).toBeString();
          }
        }
      }
    }
  });

  test("a line says how a machine ended in words", () => {
    const ends = ["killed", "unregistered", "host_shutdown"].map((how) => eventLine({ ...ENDED, how, signal: 9 }));
    expect(ends.map((line) => line.slice(line.indexOf("(")))).toEqual([
      "(killed by SIGKILL)",
      "(unregistered)",
      "(host shutdown)",
    ]);
  });

  test("an event is printed as one line, also when a field has a line end", () => {
    const line = eventLine({ ...STARTED, service: "a\nb" });
    expect(line).not.toContain("\n");
  });
});
