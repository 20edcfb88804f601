// `machinectl wait`: waits until machines run, have booted, have an address, answer over ssh, or have ended. The
// manager signals that a machine was registered or has ended; `systemctl is-system-running --wait` in the machine waits
// for the end of booting; addresses and the SSH port are polled.

import { connect } from "node:net";
import { formatAddress, isGlobalAddress } from "../../base/ip-address.ts";
import { LONGEST_TIMER_MS } from "../../base/longest-timer.ts";
import { isMachineNameOrHost } from "../../base/names.ts";
import { plainEnvironment } from "../../base/plain-environment.ts";
import { BROKER } from "../../base/vocabulary/bus-peers.ts";
import { collectedText } from "../../kernel/process/child-group.ts";
import { PARENT_VARIABLE, parentVariable } from "../../kernel/process/parent.ts";
import { selfCommand } from "../../kernel/process/spawn.ts";
import { SIGTERM } from "../format/signals.ts";
import { type MachineFacts, machineFacts } from "../machine/details.ts";
import { allMet, anyMet, TIMED_OUT } from "../machine/several-waits.ts";
import { attempt, CONNECTION_LOST, Failure, meansNoMachine, orNull } from "../session/failure.ts";
import { limited } from "../session/in-parallel.ts";
import type { Session } from "../session/session.ts";
import type { Settings } from "../session/settings.ts";
import { isOfThisHost } from "../session/target.ts";
import { EXIT_OURS, sameDaemon } from "./order.ts";
import type { SshAddress } from "./ssh.ts";

type WaitCondition = Settings["waitFor"];

const CONDITIONS: Readonly<Record<WaitCondition, string>> = {
  running: "running",
  booted: "booted",
  address: "reachable at an address",
  ssh: "answering over ssh",
  ended: "ended",
};

const ENDED_INSTEAD = 1;
const POLL_MS = 250;
/**
 * How many machines the manager is asked about at once, by up to two calls for each: dbus-daemon allows 128 calls for a
 * connection, and the manager has to answer others meanwhile.
 */
const ASKED_AT_ONCE = 32;
/** A machine whose leader is no service manager counts as booted when it has been registered for this long. */
const SETTLED_MS = 1000;
const SSH_PORT = 22;
const SSH_TIMEOUT_MS = 2000;
const SERVICE_MANAGERS = ["systemd", "init"];
/**
 * The names that a leader has before it has executed its init: those of the programs that have started it. On a busy
 * host that takes longer than SETTLED_MS. A container whose own program is one of these counts as booted after
 * STARTING_MS.
 */
const RUNNERS = ["systemd-nspawn", "lxc-start", "libvirt_lxc"];
const STARTING_MS = 60_000;
/** The limit of what systemctl(1) may answer: it is a program of the machine. */
const MOST_ANSWER_BYTES = 64 << 10;

const MANAGER = { sender: "org.freedesktop.machine1", path: "/org/freedesktop/machine1" } as const;
/** The signal about starts and ends of the manager. */
const MANAGER_OWNER = { sender: BROKER, interface: BROKER, member: "NameOwnerChanged", arg0: MANAGER.sender } as const;

/** Resolves after some time of any length, or when the signal aborts. */
async function later(ms: number, signal: AbortSignal): Promise<void> {
  const until = performance.now() + ms;
  for (let left = ms; left > 0 && !signal.aborted; left = until - performance.now()) {
    await brieflyLater(Math.min(left, LONGEST_TIMER_MS), signal);
  }
}

function brieflyLater(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

/** The wait for one machine; `stop` ends its timers, connections and child processes. */
class Wait {
  readonly #session: Session;
  /** The leader that was seen last, and since when, by a clock that is never set. */
  #seen: { readonly leaderPid: number; readonly atMs: number } | null = null;
  readonly #name: string;
  readonly #stop: AbortSignal;
  readonly #inTurn: ReturnType<typeof limited>;
  readonly #ended = Promise.withResolvers<number>();
  /** The leader at the begin of the wait; null where there was none, or it is not known yet. */
  #leaderPid: number | null = null;
  #came = Promise.withResolvers<void>();

  /** `inTurn` limits the calls of all waits together. */
  constructor(session: Session, name: string, stop: AbortSignal, inTurn: ReturnType<typeof limited>) {
    this.#session = session;
    this.#name = name;
    this.#stop = stop;
    this.#inTurn = inTurn;
  }

  /** Waits for the condition. Returns the exit status: 0, or 1 if the machine ended instead. */
  async for(condition: WaitCondition): Promise<number> {
    const isEnd = condition === "ended";
    await attempt(`Failed to wait for machine '${this.#name}'`, () => this.#watch(isEnd ? 0 : ENDED_INSTEAD));
    // Read after the subscriptions, so that no change is missed.
    const facts = await this.#facts();
    this.#leaderPid = facts?.leaderPid ?? null;
    if (isEnd) return facts === null ? 0 : this.#ended.promise;
    if (facts === null && this.#session.terminal.stderrIsTty && !this.#session.settings.quiet) {
      this.#session.report.info(`Machine '${this.#name}' is not registered; waiting until it is`);
    }
    if (facts === null) await Promise.race([this.#came.promise, this.#ended.promise]);
    return Promise.race([this.#ended.promise, this.#until(condition)]);
  }

  /** Subscribes to the signals about the machine; `ended` is the exit status if it ends. */
  async #watch(ended: number): Promise<void> {
    const bus = await this.#session.managerConnection("signals");
    // The same rules for all machines: a message bus has a limit of rules for each connection (dbus-daemon: 512).
    await bus.subscribe({ ...MANAGER, member: "MachineNew" }, ([name]) => {
      if (name === this.#name) this.#came.resolve();
    });
    await bus.subscribe({ ...MANAGER, member: "MachineRemoved" }, ([name]) => {
      if (name === this.#name) this.#ended.resolve(ended);
    });
    // A manager that starts again does not signal what has ended before. Other conditions are polled.
    await bus.subscribe(MANAGER_OWNER, ([, , owner]) => {
      if (owner !== "") this.#lookAgain(ended).catch((error: unknown) => this.#ended.reject(error));
    });
    // It may be rejected before it is awaited, and after the wait is over.
    this.#ended.promise.catch(() => {});
    bus.onClose(() =>
      this.#ended.reject(new Failure(`Failed to wait for machine '${this.#name}': ${CONNECTION_LOST}`)),
    );
  }

  /** Ends the wait where the machine that was seen at its begin is gone. */
  async #lookAgain(ended: number): Promise<void> {
    if (this.#leaderPid !== null && (await this.#facts())?.leaderPid !== this.#leaderPid) this.#ended.resolve(ended);
  }

  /** Polls until the condition holds or the machine has ended. */
  async #until(condition: Exclude<WaitCondition, "ended">): Promise<number> {
    while (!this.#stop.aborted) {
      const facts = await this.#facts();
      if (facts === null) return ENDED_INSTEAD;
      if (await this.#holds(condition, facts)) return 0;
      await later(POLL_MS, this.#stop);
    }
    return TIMED_OUT;
  }

  async #facts(): Promise<MachineFacts | null> {
    try {
      return await this.#inTurn(() => machineFacts(this.#session, this.#name));
    } catch (error) {
      if (meansNoMachine(error)) return null;
      throw error;
    }
  }

  async #holds(condition: Exclude<WaitCondition, "ended">, facts: MachineFacts): Promise<boolean> {
    switch (condition) {
      case "running":
        return facts.state === "running";
      case "booted":
        return this.#hasBooted(facts);
      case "address":
        return (await this.#addresses()).length > 0;
      case "ssh":
        return this.#answersOverSsh();
    }
  }

  /**
   * Returns for how long the machine has been registered; at least for as long as this wait has seen it: where a clock
   * was set back, or that of another host is fast, the machine would be of the future.
   */
  #ageMs({ leaderPid, sinceUsec }: MachineFacts): number {
    const nowMs = performance.now();
    if (this.#seen?.leaderPid !== leaderPid) this.#seen = { leaderPid, atMs: nowMs };
    return Math.max(Date.now() - Number(sinceUsec / 1000n), nowMs - this.#seen.atMs);
  }

  async #hasBooted(facts: MachineFacts): Promise<boolean> {
    const name = await this.#session.ports.processName(facts.leaderPid);
    // The wait may be over by now: nothing would end a program that is started after that.
    if (this.#stop.aborted) return false;
    const isManager = facts.class === "container" && name !== null && SERVICE_MANAGERS.includes(name);
    if (!isManager) {
      const isStarting = facts.class === "container" && name !== null && RUNNERS.includes(name);
      return this.#ageMs(facts) >= (isStarting ? STARTING_MS : SETTLED_MS);
    }
    const { state, error, status } = await this.#systemState();
    if (status === 126 || status === 127) return true; // an init without systemctl
    // If the machine has ended in the meantime, the next poll finds that.
    if (status === EXIT_OURS && (await this.#facts())?.leaderPid === facts.leaderPid) throw new Failure(error);
    return state === "running" || state === "degraded";
  }

  /**
   * Runs systemctl in the machine, which returns when booting is over; returns its output and exit status. A program
   * that says more than any systemctl does is ended.
   */
  async #systemState(): Promise<{ state: string; error: string; status: number }> {
    const question = ["systemctl", "is-system-running", "--wait"];
    const way = this.#session.settings.throughService ? ["--through-service"] : [];
    const args = ["exec", ...sameDaemon(this.#session), ...way, "--stdin=no", this.#name, ...question];
    const self = selfCommand("machinectl", args);
    const child = Bun.spawn(self.command, {
      argv0: self.argv0,
      stdio: ["ignore", "pipe", "pipe"],
      // Of a client that is killed, no program stays in the machine.
      env: { ...plainEnvironment(), [PARENT_VARIABLE]: parentVariable(SIGTERM) },
    });
    const end = () => child.kill();
    this.#stop.addEventListener("abort", end);
    const answer = (stream: ReadableStream<Uint8Array>) => collectedText(stream, MOST_ANSWER_BYTES, end);
    const [state, error, status] = await Promise.all([answer(child.stdout), answer(child.stderr), child.exited]);
    this.#stop.removeEventListener("abort", end);
    return { state: state.trim(), error: error.trim(), status };
  }

  /** Returns the machine's addresses without those of the loopback interface and link-local ones. */
  async #addresses(): Promise<string[]> {
    try {
      const ask = () => this.#session.manager("GetMachineAddresses", { name: this.#name });
      const { addresses } = await this.#inTurn(ask);
      const texts = addresses.map(([, bytes]) => formatAddress(bytes));
      return texts.filter(isGlobalAddress);
    } catch {
      return []; // none yet, or no network of its own
    }
  }

  /** Whether an SSH server answers at the address that the machine was registered with, or at one of its own. */
  async #answersOverSsh(): Promise<boolean> {
    const { answersOverProxy, needsProxy } = await import("./ssh.ts");
    const registered = await this.#sshAddress();
    const isProxied = registered !== null && needsProxy(registered);
    const hosts = [...(registered === null || isProxied ? [] : [registered.host]), ...(await this.#addresses())];
    if (this.#stop.aborted) return false;
    const probes = hosts.map((host) => greetsAsSsh(host, this.#stop));
    if (isProxied) probes.push(answersOverProxy(this.#session, registered, this.#stop));
    return (await Promise.all(probes)).includes(true);
  }

  /**
   * The address for ssh that the machine was registered with; null where it has none, or where that counts on another
   * host.
   */
  async #sshAddress(): Promise<SshAddress | null> {
    if (this.#session.settings.transport.kind !== "local") return null;
    const { sshAddressOf } = await import("./exec.ts");
    return orNull(this.#inTurn(() => sshAddressOf(this.#session, this.#name)));
  }
}

/** Whether an SSH server sends its greeting on the address's port 22. */
function greetsAsSsh(host: string, stop: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: SSH_PORT });
    const finish = (answer: boolean) => {
      stop.removeEventListener("abort", cancel);
      socket.destroy();
      resolve(answer);
    };
    const cancel = () => finish(false);
    socket.setTimeout(SSH_TIMEOUT_MS, () => finish(false));
    socket.on("data", (bytes) => finish(bytes.toString("latin1").startsWith("SSH-")));
    socket.on("error", () => finish(false));
    socket.on("close", () => finish(false));
    stop.addEventListener("abort", cancel);
  });
}

/** The end of a wait for several machines: the exit status, and the machines that are the reason if it is not 0. */
interface WaitEnd {
  readonly status: number;
  readonly names: readonly string[];
}

/**
 * Waits until all machines meet the condition, or with `any` the first one. The exit status is 0, 1 if a machine ended
 * instead (with `any`: if all did), 124 after `timeoutMs` (0: no limit).
 */
export async function waitForMachines(
  session: Session,
  names: readonly string[],
  { waitFor, any, timeoutMs }: Pick<Settings, "waitFor" | "any" | "timeoutMs">,
): Promise<WaitEnd> {
  const stop = new AbortController();
  const statuses = new Map<string, number>();
  const inTurn = limited(ASKED_AT_ONCE);
  const waits = names.map(async (name) => {
    const status = await new Wait(session, name, stop.signal, inTurn).for(waitFor);
    statuses.set(name, status);
    return status;
  });
  const timeout = timeoutMs > 0 ? [later(timeoutMs, stop.signal).then(() => TIMED_OUT)] : [];
  try {
    const status = await Promise.race([any ? anyMet(waits) : allMet(waits), ...timeout]);
    // At the time limit, the machines that still were waited for are the reason.
    const isReason = (name: string) => (statuses.get(name) ?? TIMED_OUT) === status;
    return { status, names: status === 0 ? [] : names.filter(isReason) };
  } finally {
    stop.abort();
  }
}

/** The verb `wait`: waits for all machines, or with --any for one of them. A word may name several (`a,b`). */
export async function wait(session: Session, words: readonly string[]): Promise<number> {
  const names = words.flatMap((word) => word.split(","));
  const { waitFor, transport, timeoutMs } = session.settings;
  if (waitFor === "booted" && !isOfThisHost(session.settings)) {
    const option = transport.kind === "remote" ? "-H" : "-M";
    throw new Failure(
      `--for=booted works for machines of this host only: use --for=running, address or ssh with ${option}`,
    );
  }
  // No machine can have such a name, so that the wait would have no end.
  const impossible = names.find((name) => !isMachineNameOrHost(name));
  if (impossible !== undefined) {
    throw new Failure(`Failed to wait for machine '${impossible}': Invalid machine name`, {
      hint: "wait expands no patterns: name each machine.",
    });
  }
  const end = await waitForMachines(session, names, session.settings);
  if (end.status !== 0 && !session.settings.quiet) {
    const what = CONDITIONS[waitFor];
    const why = end.status === TIMED_OUT ? `not ${what} after ${timeoutMs / 1000} s` : `ended before it was ${what}`;
    session.report.error(`${end.names.join(", ")}: ${why}`);
  }
  return end.status;
}
