// A dbus-daemon for one test, on which all users may own all names and send all messages, and a fake service manager.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { busLabelEscape } from "../../src/base/names.ts";
import { Variant } from "../../src/base/variant.ts";
import { BusClient } from "../../src/ipc/bus/client.ts";
import type { Incoming } from "../../src/ipc/bus/stream.ts";
import { connectUnix } from "../../src/kernel/socket/unix.ts";
import { havePrograms } from "./programs.ts";
import { waitFor } from "./wait-for.ts";

export const hasBusDaemon = havePrograms("what is tested on a bus", "dbus-daemon");

/** The bus. */
export class TestBus implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "machined-bus-"));
  readonly socket = join(this.directory, "bus");
  #process: Subprocess | null = null;

  static async start(): Promise<TestBus> {
    const bus = new TestBus();
    try {
      await bus.run();
    } catch (error) {
      await bus[Symbol.asyncDispose]();
      throw error;
    }
    return bus;
  }

  get address(): string {
    return `unix:path=${this.socket}`;
  }

  async run(): Promise<void> {
    const config = join(this.directory, "bus.conf");
    writeFileSync(
      config,
      `<busconfig><type>system</type><listen>${this.address}</listen><policy context="default"><allow user="*"/>` +
        '<allow own="*"/><allow send_destination="*" eavesdrop="false"/><allow receive_sender="*"/></policy></busconfig>',
    );
    this.#process = Bun.spawn(["dbus-daemon", `--config-file=${config}`, "--nofork", "--nopidfile"], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    await waitFor(async () => (await this.connect()).close(), "the bus");
  }

  connect(): Promise<BusClient> {
    return BusClient.open(connectUnix(this.socket));
  }

  /** Stops the broker's process by SIGSTOP: it keeps its connections and answers nobody. */
  freeze(): void {
    this.#process?.kill("SIGSTOP");
  }

  async stop(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const SYSTEMD = "org.freedesktop.systemd1";

interface ScopeCall {
  readonly unit: string;
  readonly mode: string;
  readonly properties: ReadonlyMap<string, Variant>;
}

/**
 * What the fake manager does with StartTransientUnit(): reply with an error, with a job that has a result, or not at
 * all.
 */
type Answer =
  | { readonly error: [string, string] }
  | { readonly result: string; readonly signalFirst?: boolean; readonly isHeld?: boolean }
  | "silence";

/** A fake org.freedesktop.systemd1 with the calls that machined makes. */
export class PlayedManager {
  readonly bus: BusClient;
  readonly scopes: ScopeCall[] = [];
  readonly stopped: string[] = [];
  readonly stopModes: string[] = [];
  /** Jobs that end when finishHeld() is called. */
  readonly #held = new Map<string, { unit: string; result: string }>();
  /** The loaded units, each with the path of its queued job; null for an active unit. */
  readonly units = new Map<string, string | null>();
  /** Units that are started at boot. */
  readonly enabled = new Set<string>();
  reloads = 0;
  /** Whether EnableUnitFiles() is refused. */
  refuses = false;
  version = "262";
  /** Whether StopUnit() is recorded but not answered. */
  isSilent = false;
  /** Whether StopUnit() is recorded, and answered by the broker, as if the manager had left the bus meanwhile. */
  leavesOnStop = false;
  answer: (call: ScopeCall) => Answer = () => ({ result: "done" });
  #jobs = 0;

  private constructor(bus: BusClient) {
    this.bus = bus;
  }

  static async start(on: TestBus): Promise<PlayedManager> {
    const played = new PlayedManager(await on.connect());
    played.bus.onCall((message) => played.#call(message));
    await played.bus.driver("RequestName", "su", [SYSTEMD, 0]);
    return played;
  }

  /** Ends all held jobs. */
  finishHeld(): void {
    for (const [job, { unit, result }] of this.#held) this.#jobRemoved(job, unit, result);
    this.#held.clear();
  }

  #reply(message: Incoming, signature: string, body: unknown[]): void {
    this.bus.send({ type: 2, replySerial: message.serial, destination: message.sender, signature, body });
  }

  #error(message: Incoming, name: string, text: string): void {
    const { serial, sender } = message;
    this.bus.send({ type: 3, replySerial: serial, destination: sender, errorName: name, signature: "s", body: [text] });
  }

  #jobRemoved(job: string, unit: string, result: string): void {
    this.bus.send({
      type: 4,
      path: "/org/freedesktop/systemd1",
      interface: `${SYSTEMD}.Manager`,
      member: "JobRemoved",
      signature: "uoss",
      body: [1, job, unit, result],
    });
  }

  #call(message: Incoming): unknown {
    const values = message.values();
    switch (message.member) {
      case "Subscribe":
        return this.#reply(message, "", []);
      case "Get":
        return this.#get(message, values as [string, string]);
      case "GetUnit":
        return this.units.has(values[0] as string)
          ? this.#reply(message, "o", [`/org/freedesktop/systemd1/unit/${busLabelEscape(values[0] as string)}`])
          : this.#error(message, `${SYSTEMD}.NoSuchUnit`, `Unit ${values[0]} not loaded.`);
      case "ListUnitsByPatterns":
        return this.#reply(message, "a(ssssssouso)", [
          [...this.units.keys()].map((name) => [name, "", "loaded", "active", "running", "", "/unit", 0, "", "/"]),
        ]);
      case "StopUnit":
        this.stopped.push(values[0] as string);
        this.stopModes.push(values[1] as string);
        if (this.isSilent) return undefined;
        if (this.leavesOnStop) return this.#error(message, "org.freedesktop.DBus.Error.NoReply", "It has left.");
        return this.#reply(message, "o", [`/org/freedesktop/systemd1/job/${++this.#jobs}`]);
      case "GetUnitFileState":
        return this.#reply(message, "s", [this.enabled.has(values[0] as string) ? "enabled" : "disabled"]);
      case "EnableUnitFiles":
        if (this.refuses) return this.#error(message, "org.freedesktop.DBus.Error.AccessDenied", "no");
        for (const unit of values[0] as string[]) this.enabled.add(unit);
        return this.#reply(message, "ba(sss)", [true, []]);
      case "DisableUnitFiles":
        for (const unit of values[0] as string[]) this.enabled.delete(unit);
        return this.#reply(message, "a(sss)", [[]]);
      case "Reload":
        this.reloads++;
        return this.#reply(message, "", []);
      case "StartTransientUnit":
        return this.#start(message, values as [string, string, [string, Variant][]]);
      default:
        return this.#error(message, "org.freedesktop.DBus.Error.UnknownMethod", `no ${message.member}`);
    }
  }

  #get(message: Incoming, [, property]: [string, string]): unknown {
    const [name, job] = [...this.units].find(([unit]) => message.path?.endsWith(`/${busLabelEscape(unit)}`)) ?? [];
    switch (property) {
      case "Version":
        return this.#reply(message, "v", [new Variant("s", this.version)]);
      case "ActiveState":
        return this.#reply(message, "v", [new Variant("s", job === null ? "active" : "inactive")]);
      case "State":
        return this.#held.has(message.path ?? "")
          ? this.#reply(message, "v", [new Variant("s", "waiting")])
          : this.#error(message, "org.freedesktop.DBus.Error.UnknownObject", `no ${message.path}`);
      case "Job":
        return this.#reply(message, "v", [new Variant("(uo)", job ? [1, job] : [0, "/"])]);
      default:
        return this.#error(message, "org.freedesktop.DBus.Error.UnknownProperty", `no ${property} of ${name}`);
    }
  }

  #start(message: Incoming, [unit, mode, properties]: [string, string, [string, Variant][]]): unknown {
    const call = { unit, mode, properties: new Map(properties) };
    this.scopes.push(call);
    const answer = this.answer(call);
    if (answer === "silence") return undefined;
    if ("error" in answer) return this.#error(message, ...answer.error);
    const job = `/org/freedesktop/systemd1/job/${++this.#jobs}`;
    if (answer.signalFirst === true) this.#jobRemoved(job, unit, answer.result);
    this.#reply(message, "o", [job]);
    if (answer.isHeld === true) this.#held.set(job, { unit, result: answer.result });
    else if (answer.signalFirst !== true) setTimeout(() => this.#jobRemoved(job, unit, answer.result), 20);
    return job;
  }
}
