// `machinectl wait` for several machines: which of them decides. The test plays the manager and its signals.
import { describe, expect, spyOn, test } from "bun:test";
import { LONGEST_TIMER_MS } from "../../../../src/base/longest-timer.ts";
import type { Environment } from "../../../../src/cli/format/terminal.ts";
import { allMet, anyMet } from "../../../../src/cli/machine/several-waits.ts";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import type { Bus } from "../../../../src/cli/session/ports.ts";
import { PARENT_VARIABLE } from "../../../../src/kernel/process/parent.ts";
import { waitFor } from "../../../lib/wait-for.ts";
import { ALPHA, type FakeMachine, MINI } from "../fake-machines.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

/** A client whose manager signals what a test says. */
class SignalledProcess extends FakeProcess {
  /** The different match rules. */
  readonly rules = new Set<string>();
  readonly #handlers: { readonly member: string; readonly handler: Parameters<Bus["subscribe"]>[1] }[] = [];
  /** Ends the connection to the manager. */
  loseConnection = () => {};
  readonly #subscribed = Promise.withResolvers<void>();
  readonly #waits: number;

  constructor(machines: readonly FakeMachine[], waits: number) {
    super({ ...(WORLDS["one"] as World), machines });
    this.#waits = waits;
  }

  /** The largest number of calls that were pending. */
  mostCalls = 0;
  #calls = 0;

  override connectBus = async (): Promise<Bus> => ({
    ...this.managers.bus(),
    call: async (call) => {
      this.mostCalls = Math.max(this.mostCalls, ++this.#calls);
      await new Promise((resolve) => setImmediate(resolve));
      this.#calls--;
      return this.managers.bus().call(call);
    },
    subscribe: async (rule, handler) => {
      this.rules.add(JSON.stringify(rule));
      this.#handlers.push({ member: rule.member ?? "", handler });
      if (this.#handlers.length === 3 * this.#waits) this.#subscribed.resolve();
      return async () => {};
    },
    onClose: (handler) => {
      this.loseConnection = handler;
    },
  });

  async signal(member: string, machine: string): Promise<void> {
    await this.#subscribed.promise;
    this.#send(member, [machine, `/org/freedesktop/machine1/machine/${machine}`]);
  }

  #send(member: string, body: unknown[]): void {
    for (const one of this.#handlers) if (one.member === member) one.handler(body, {} as never);
  }

  /** Resolves when the client has asked for the machine, after its subscriptions. */
  async hasAsked(): Promise<void> {
    await this.#subscribed.promise;
    await waitFor(() => expect(this.managers.members.join()).toContain("GetAll"), "the question for the machine");
  }

  /** The manager is started again. */
  restart(): void {
    this.#send("NameOwnerChanged", ["org.freedesktop.machine1", "", ":1.7"]);
  }
}

describe("wait --any", () => {
  test("a machine that ends does not end the wait while another one can still meet the condition", async () => {
    const machines: FakeMachine[] = [];
    const process = new SignalledProcess(machines, 2);
    const status = runMachinectl(["wait", "--any", "--for=running", "mini", "alpha"], process);
    await process.signal("MachineRemoved", "mini");
    machines.push(ALPHA);
    await process.signal("MachineNew", "alpha");
    expect([await status, process.stderr]).toEqual([0, ""]);
  });

  test("the status is 1 when all machines ended without meeting the condition", async () => {
    const process = new SignalledProcess([], 2);
    const status = runMachinectl(["wait", "--any", "mini", "alpha"], process);
    await process.signal("MachineRemoved", "mini");
    await process.signal("MachineRemoved", "alpha");
    expect(await status).toBe(1);
  });

  test("an error for one machine does not end the wait for another, and is reported when no machine is left", async () => {
    const failed = Promise.reject(new Error("no such host"));
    const late = Promise.withResolvers<number>();
    const met = anyMet([failed, late.promise]);
    late.resolve(0);
    expect(await met).toBe(0);
    await expect(anyMet([Promise.reject(new Error("no such host")), Promise.resolve(1)])).rejects.toThrow(
      "no such host",
    );
    expect(await anyMet([Promise.resolve(1), Promise.resolve(124)])).toBe(124);
  });

  test("an error that comes after the decision is ignored", async () => {
    const late = Promise.withResolvers<number>();
    expect(await anyMet([Promise.resolve(0), late.promise])).toBe(0);
    late.reject(new Error("closed"));
    await new Promise((resolve) => setImmediate(resolve));
  });

  test("without --any, all machines have to meet the condition", async () => {
    const machines: FakeMachine[] = [ALPHA];
    const process = new SignalledProcess(machines, 2);
    const status = runMachinectl(["wait", "--for=running", "mini", "alpha"], process);
    machines.push(MINI);
    await process.signal("MachineNew", "mini");
    expect(await status).toBe(0);
  });
});

test("a container whose leader is still the program that starts it has not booted", async () => {
  const names = ["systemd-nspawn", "systemd-nspawn", "sleep"];
  const asked: string[] = [];
  const since = BigInt(Date.now() - 5000) * 1000n;
  const process = new SignalledProcess([{ ...MINI, since, leaderName: "" }], 1);
  process.processName = async () => {
    asked.push(names.shift() ?? "sleep");
    return asked.at(-1) ?? null;
  };
  expect(await runMachinectl(["wait", "--for=booted", "mini"], process)).toBe(0);
  expect(asked).toEqual(["systemd-nspawn", "systemd-nspawn", "sleep"]);
});

test("a machine that a clock, set back since, has registered in the future, boots nevertheless", async () => {
  const since = BigInt(Date.now() + 3_600_000) * 1000n;
  const process = new SignalledProcess([{ ...MINI, since, leaderName: "sleep" }], 1);
  expect(await runMachinectl(["wait", "--for=booted", "mini"], process)).toBe(0);
});

test("no program is started in a machine when the wait is over", async () => {
  const spawn = spyOn(Bun, "spawn");
  try {
    const since = BigInt(Date.now() - 5000) * 1000n;
    const machines = [
      { ...MINI, since, leaderName: "" },
      { ...ALPHA, since, leaderName: "" },
    ];
    const process = new SignalledProcess(machines, 2);
    const [asked, known] = [Promise.withResolvers<void>(), Promise.withResolvers<string>()];
    process.processName = async (pid) => {
      if (pid !== MINI.leader) {
        await asked.promise;
        return "sleep";
      }
      asked.resolve();
      return known.promise;
    };
    expect(await runMachinectl(["wait", "--any", "--for=booted", "mini", "alpha"], process)).toBe(0);
    known.resolve("systemd");
    await new Promise((resolve) => setImmediate(resolve));
    expect(spawn).not.toHaveBeenCalled();
  } finally {
    spawn.mockRestore();
  }
});

test("a systemctl of the machine that writes without an end is ended, and asked again; it ends with the client", async () => {
  const spawn = Bun.spawn.bind(Bun) as (command: string[], options: object) => Bun.Subprocess;
  const answers = ["head -c 200000 /dev/zero; exec tail -f /dev/null", "echo running"];
  const replaced = spyOn(Bun, "spawn").mockImplementation(((_command: string[], options: { env: Environment }) => {
    expect(options.env[PARENT_VARIABLE]).toBe(`15:${process.pid}`);
    return spawn(["sh", "-c", answers.shift() ?? "exit 1"], { ...options, argv0: "sh" });
  }) as unknown as typeof Bun.spawn);
  try {
    const client = new SignalledProcess([{ ...MINI, leaderName: "" }], 1);
    client.processName = async () => "systemd";
    expect(await runMachinectl(["wait", "--for=booted", "mini"], client)).toBe(0);
    expect(answers).toEqual([]);
  } finally {
    replaced.mockRestore();
  }
});

describe("wait without signals", () => {
  test.each(["ended", "running"])("--for=%s fails where the connection to the manager is lost", async (condition) => {
    const process = new SignalledProcess(condition === "ended" ? [MINI] : [], 1);
    const status = runMachinectl(["wait", `--for=${condition}`, "mini"], process);
    await process.hasAsked();
    process.loseConnection();
    const complaint = "Failed to wait for machine 'mini': The connection to the manager was lost\n";
    expect([await status, process.stderr]).toEqual([1, complaint]);
  });

  test("a machine that ended while the manager was started again has ended", async () => {
    const machines: FakeMachine[] = [MINI];
    const process = new SignalledProcess(machines, 1);
    const status = runMachinectl(["wait", "--for=ended", "mini"], process);
    await process.hasAsked();
    machines.pop();
    process.restart();
    expect([await status, process.stderr]).toEqual([0, ""]);
  });
});

describe("wait for all", () => {
  test("a wait for very many machines has few match rules and calls, as a message bus demands", async () => {
    const machines: FakeMachine[] = [];
    const names = Array.from({ length: 300 }, (_, index) => `m${index}`);
    const process = new SignalledProcess(machines, names.length);
    const status = runMachinectl(["wait", "--for=running", ...names], process);
    machines.push(...names.map((name) => ({ ...MINI, name })));
    for (const name of names) await process.signal("MachineNew", name);
    expect(await status).toBe(0);
    expect([process.rules.size, process.mostCalls]).toEqual([3, 64]);
  });

  test("the first machine that ends without meeting the condition ends the wait, and is named", async () => {
    const process = new SignalledProcess([], 2);
    const status = runMachinectl(["wait", "--for=running", "mini", "alpha"], process);
    await process.signal("MachineRemoved", "alpha");
    expect([await status, process.stderr]).toEqual([1, "alpha: ended before it was running\n"]);
  });

  test("an error for one machine ends the wait, and one that comes after the decision is ignored", async () => {
    const late = Promise.withResolvers<number>();
    await expect(allMet([Promise.reject(new Error("no such host")), late.promise])).rejects.toThrow("no such host");
    expect(await allMet([Promise.resolve(1), late.promise])).toBe(1);
    late.reject(new Error("closed"));
    await new Promise((resolve) => setImmediate(resolve));
  });

  test("at the time limit, only the machines that have not met the condition are named", async () => {
    const process = new SignalledProcess([ALPHA], 2);
    const status = runMachinectl(["wait", "--for=running", "--timeout=500ms", "mini", "alpha"], process);
    expect([await status, process.stderr]).toEqual([124, "mini: not running after 0.5 s\n"]);
  });

  test("a time limit beyond the largest delay of a timer is not over at once", async () => {
    const timers = spyOn(globalThis, "setTimeout");
    try {
      const machines: FakeMachine[] = [];
      const process = new SignalledProcess(machines, 1);
      const status = runMachinectl(["wait", "--for=running", "--timeout=30d", "mini"], process);
      machines.push(MINI);
      await process.signal("MachineNew", "mini");
      expect(await status).toBe(0);
      const longest = Math.max(...timers.mock.calls.map(([, ms]) => ms ?? 0));
      expect(longest).toBe(LONGEST_TIMER_MS);
    } finally {
      timers.mockRestore();
    }
  });

  test("a name that no machine can have is refused at once", async () => {
    const process = new SignalledProcess([ALPHA], 1);
    expect(await runMachinectl(["wait", "alpha", "al*"], process)).toBe(1);
    expect(process.stderr).toBe("Failed to wait for machine 'al*': Invalid machine name\n");
  });

  test("a word may name several machines, as for exec and stats", async () => {
    const process = new SignalledProcess([ALPHA], 2);
    expect(await runMachinectl(["wait", "--any", "--for=running", "alpha,mini"], process)).toBe(0);
  });
});
