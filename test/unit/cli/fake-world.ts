// Surroundings for a client under test: a terminal that records, a clock that stands still, connections to stand-ins.
import { UTC } from "../../../src/base/text/format.ts";
import type { Environment } from "../../../src/cli/format/terminal.ts";
import { localZone } from "../../../src/cli/format/time-zone.ts";
import type { Agent, AgentCommand, Bus, Command, Ports, Varlink } from "../../../src/cli/session/ports.ts";
import type { BusTarget } from "../../../src/ipc/bus/transport.ts";
import type { Fd } from "../../../src/kernel/file/fd.ts";
import { ALPHA, ALPHA_LATER, ALPHA_ONLINE, DELTA, type FakeMachine, HOST, MINI } from "./fake-machines.ts";
import { type Behaviour, FakeManagers } from "./fake-managers.ts";

/** Errors of connect(), as the client library throws them. */
export class FakeSyscallError extends Error {
  readonly errnoName: string;

  constructor(errnoName: string, message = errnoName) {
    super(message);
    this.errnoName = errnoName;
  }
}

export interface World extends Behaviour {
  readonly nowUsec: bigint;
}

const IMAGES = ["alpha", "mini", "web-1.a"];
const MORNING = 1795350917_350830n;

/** alpha with root logged in. */
const ALPHA_WITH_USER: FakeMachine = {
  ...ALPHA_LATER,
  processes: [
    ...ALPHA_LATER.processes,
    ...[[5267, '"(sd-pam)"'] as const, [5266, "/lib/systemd/systemd --user"] as const].map(
      ([pid, command]): FakeMachine["processes"][number] => [
        `${ALPHA_LATER.cgroup}/payload/user.slice/user-0.slice/user@0.service/init.scope`,
        pid,
        command,
      ],
    ),
  ],
};

const KILL_NOTE =
  "Nov 22 21:48:43 vm systemd[1]: mini.scope: Sending signal SIGRTMIN+4 to process 808 (sleep) on client request.";

const LATER = { machines: [HOST, ALPHA_LATER, { ...MINI, journal: [KILL_NOTE] }], images: IMAGES };

/** The worlds that the recordings name. */
export const WORLDS: Readonly<Record<string, World>> = {
  empty: { machines: [HOST], images: IMAGES, nowUsec: MORNING },
  one: { machines: [HOST, ALPHA], images: IMAGES, nowUsec: MORNING },
  two: { machines: [HOST, ALPHA, MINI], images: IMAGES, nowUsec: MORNING },
  three: {
    machines: [MINI, { ...HOST, addresses: ["fe80::452:61ff:fe10:ad97"] }, DELTA, ALPHA_ONLINE],
    images: IMAGES,
    nowUsec: MORNING,
    failing: { "systemd-nspawn@mini.service": "exit-code" },
  },
  status: { machines: [HOST, ALPHA], images: IMAGES, nowUsec: ALPHA.since + 4_200_000n },
  "status with addresses": {
    machines: [HOST, { ...ALPHA_ONLINE, journal: ALPHA.journal.slice(-2) }, MINI, DELTA],
    images: IMAGES,
    nowUsec: MINI.since + 4_100_000n,
  },
  later: { ...LATER, nowUsec: ALPHA_LATER.since + 211_500_000n },
  "a second later": { ...LATER, nowUsec: ALPHA_LATER.since + 212_500_000n },
  "with a user": { machines: [HOST, ALPHA_WITH_USER], images: IMAGES, nowUsec: ALPHA_LATER.since + 95_500_000n },
  refusing: {
    machines: [ALPHA_ONLINE, DELTA, MINI],
    images: IMAGES,
    nowUsec: ALPHA.since + 122_000_000n,
    refuses: true,
  },
  "three refusing": { machines: [HOST, ALPHA, MINI, DELTA], images: IMAGES, nowUsec: MORNING, refuses: true },
};

export interface Surroundings {
  readonly env?: Environment;
  /** Columns of the terminal; absent: no terminal. */
  readonly columns?: number;
  readonly stdoutIsTty?: boolean;
  readonly stderrIsTty?: boolean;
  readonly stdinIsTty?: boolean;
  readonly euid?: number;
  /** Sockets that exist; a path of `system` or `user` is the bus. Absent: bus and Varlink of the system. */
  readonly sockets?: readonly string[];
  readonly writeFailure?: string;
  readonly hasJournal?: boolean;
  readonly hasImportctl?: boolean;
  /** Whether each file that is written to has content; false by default. */
  readonly hasContent?: boolean;
}

const USUAL_SOCKETS = ["system", "/run/systemd/machine/io.systemd.Machine"];

/** The ports of a process in a world; records what was printed and which calls were made. */
export class FakeProcess implements Ports {
  stdout = "";
  stderr = "";
  /** Standard output and standard error in order, as a terminal shows them. */
  screen = "";
  readonly managers: FakeManagers;
  readonly targets: BusTarget[] = [];
  readonly commands: Command[] = [];
  readonly agents: (AgentCommand & { stopped: boolean })[] = [];
  pagers: readonly Command[] = [];
  readonly env: Environment;
  account = async () => ({ uid: 0, name: "root" });
  readonly euid: number;
  readonly #world: World;
  readonly #around: Surroundings;

  constructor(world: World, around: Surroundings = {}, managers = new FakeManagers(world)) {
    this.#world = world;
    this.#around = around;
    this.managers = managers;
    this.env = around.env ?? {};
    this.euid = around.euid ?? 0;
  }

  isTty(fd: number): boolean {
    const isTerminal = this.#around.columns !== undefined;
    if (fd === 0) return this.#around.stdinIsTty ?? isTerminal;
    return (fd === 1 ? this.#around.stdoutIsTty : this.#around.stderrIsTty) ?? isTerminal;
  }

  ttyColumns = () => this.#around.columns;

  /** Whether the distribution has an importctl; true by default. */
  isThere = () => this.#around.hasImportctl ?? true;

  hasContent = async () => this.#around.hasContent ?? false;

  isSameFile = async (path: string, other: string) => path === other;

  writeSome = (fd: number, bytes: Uint8Array): number => {
    if (this.#around.writeFailure !== undefined) throw new FakeSyscallError(this.#around.writeFailure);
    const text = Buffer.from(bytes).toString();
    if (fd === 1) this.stdout += text;
    else this.stderr += text;
    this.screen += this.isTty(fd) ? text.replaceAll("\n", "\r\n") : "";
    return bytes.length;
  };

  writeBrief = async (bytes: Uint8Array): Promise<unknown> => this.writeSome(1, bytes);

  nowUsec = () => this.#world.nowUsec;

  zone = async () => (this.env["TZ"] === undefined ? UTC : localZone(this.env["TZ"]));

  connectBus = async (target: BusTarget): Promise<Bus> => {
    this.targets.push(target);
    const sockets = this.#around.sockets ?? USUAL_SOCKETS;
    const isLocal = target.kind === "system" || target.kind === "user" || target.kind === "private";
    const address = target.kind === "private" ? target.path : target.kind;
    if (this.env["DBUS_SYSTEM_BUS_ADDRESS"] !== undefined) throw new FakeSyscallError("ENOENT");
    if (target.kind === "user" && !sockets.includes("user")) throw new FakeSyscallError("ENOMEDIUM", NO_USER_BUS);
    if (isLocal && !sockets.includes(address)) throw new FakeSyscallError("ENOENT");
    if (target.kind === "machine") throw new FakeSyscallError(this.#machineError(target.name));
    if (target.kind === "ssh" && target.host === "root@localhost") throw new FakeSyscallError("EPIPE");
    return this.managers.bus();
  };

  #machineError(name: string): string {
    return this.#world.machines.some((machine) => machine.name === name) ? "ENOENT" : "EHOSTDOWN";
  }

  connectVarlink = async (path: string): Promise<Varlink> => {
    const controls = Object.values(this.#world.controls ?? {});
    if (![...(this.#around.sockets ?? USUAL_SOCKETS), ...controls].includes(path)) throw new FakeSyscallError("ENOENT");
    return this.managers.varlink(path);
  };

  connectPlainVarlink = this.connectVarlink;

  processName = async (pid: number): Promise<string | null> => {
    for (const machine of this.#world.machines) {
      if (machine.leader === pid) return machine.leaderName;
      if (machine.supervisor === pid) return machine.supervisorName;
    }
    return null;
  };

  interfaceName = async (ifindex: number): Promise<string | null> => (ifindex === 3 ? "ve-alpha" : null);

  localProcesses = async (unit: string) => {
    const machine = this.#world.machines.find((known) => known.unit === unit) as FakeMachine;
    const list = machine.processes.map(([cgroup, pid, command]) => ({ cgroup, pid, command }));
    return { cgroup: machine.cgroup, list };
  };

  run = async (command: Command): Promise<string | null> => {
    this.commands.push(command);
    if (this.#around.hasJournal === false) return null;
    const argument = (name: string) => command.argv.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
    const machine = this.#world.machines.find(({ unit }) => unit === argument("_SYSTEMD_UNIT"));
    const journal = machine?.journal ?? [];
    const count = Number(argument("--lines"));
    const since = machine?.sinceMonotonic ?? 0n;
    const isReverse = command.argv.includes("--reverse");
    if (isReverse && argument("--output") === "json") return entriesJson(journal, since, count);
    const place = Number(/^i=(\d+)/.exec(argument("--cursor") ?? "")?.[1]);
    const lines = isReverse ? journal.slice(-count).reverse() : journal.slice(place).slice(0, count);
    const oldest = cursorOf(journal, Math.max(journal.length - count, 0), since);
    const end = isReverse && lines.length > 0 ? `-- cursor: ${oldest}\n` : "";
    const shortened = command.argv.includes("--no-full") ? lines.map((line) => cut(line, command.env)) : lines;
    return (argument("--output") === "cat" ? lines.map(message) : shortened).map((line) => `${line}\n`).join("") + end;
  };

  /** What is opened for a daemon: by path, or a standard stream by its number. */
  openFile = async (file: string | number): Promise<Fd> => {
    throw new FakeSyscallError("ENOENT", `${file}`);
  };

  /** Resolves when Ctrl-C is pressed. */
  interrupt: Promise<void> = new Promise(() => {});

  /** A test calls it after it has changed the size of the terminal. */
  resized: () => void = () => {};

  onResize = (listener: () => void) => {
    this.resized = listener;
    return () => {
      this.resized = () => {};
    };
  };

  interrupted = () => ({ promise: this.interrupt, stop: () => {} });

  findPager = async (candidates: readonly Command[]) => {
    this.pagers = candidates;
    const prefix = candidates[0]?.argv[0] === "sed" ? "PAGER:" : "";
    return () => ({
      write: (text: string) => {
        const lines = text.split(/(?<=\n)/).map((line) => prefix + line);
        this.writeSome(1, Buffer.from(lines.join("")));
        return true;
      },
      drained: async () => {},
      close: async () => {},
    });
  };

  startAgent = async (command: AgentCommand): Promise<Agent | null> => {
    const agent = { ...command, stopped: false };
    this.agents.push(agent);
    return {
      stop: () => {
        agent.stopped = true;
      },
    };
  };

  readText = async (path: string) =>
    path === "/proc/self/cgroup" ? "0::/user.slice/user-0.slice/session-1.scope\n" : null;
}

const NO_USER_BUS =
  "$DBUS_SESSION_BUS_ADDRESS and $XDG_RUNTIME_DIR not defined (consider using --machine=<user>@.host --user to connect " +
  "to bus of other user)";

/** The time of an entry; a line that begins with "old" is from before the machine was started. */
function monotonicOf(journal: readonly string[], index: number, since: bigint): bigint {
  return since + BigInt(index + (journal[index]?.startsWith("old") ? -1000 : 0));
}

function cursorOf(journal: readonly string[], index: number, since: bigint): string {
  return `i=${index};m=${monotonicOf(journal, index, since).toString(16)}`;
}

/** Entries in the form of `--output=json`, newest first. */
function entriesJson(journal: readonly string[], since: bigint, count: number): string {
  const entries = journal.map((line, index) => {
    const time = String(monotonicOf(journal, index, since));
    const cursor = cursorOf(journal, index, since);
    return `${JSON.stringify({ __CURSOR: cursor, __MONOTONIC_TIMESTAMP: time, MESSAGE: message(line) })}\n`;
  });
  return entries.slice(-count).reverse().join("");
}

function message(line: string): string {
  return line.slice(line.indexOf("]: ") + 3);
}

/** Shortens messages that are too long for the terminal as journalctl does: at 90 percent of the width. */
function cut(line: string, env: Environment | undefined): string {
  const width = Number(env?.["COLUMNS"]);
  const text = message(line);
  const room = width - (line.length - text.length);
  if (text.length <= room) return line;
  const before = Math.floor(((room - 1) * 90 + 50) / 100);
  return `${line.slice(0, -text.length)}${text.slice(0, before)}…${text.slice(text.length - (room - 1 - before))}`;
}
