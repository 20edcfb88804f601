// What the clients need from outside, as one object: the process, its terminal, the connections, helper programs. Tests
// pass their own; costly modules are loaded on first use, so that `list` starts fast.
import { existsSync, fstatSync, writeSync } from "node:fs";
import { ErrnoError } from "../../base/error.ts";
import type { Zone } from "../../base/format.ts";
import type { BusClient } from "../../ipc/bus/client.ts";
import type { BusTarget } from "../../ipc/bus/transport.ts";
import type { VarlinkClient } from "../../ipc/varlink/client.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { Account } from "../../kernel/process/account.ts";
import type { UnitProcesses } from "../format/process-tree.ts";
import type { Environment } from "../format/terminal.ts";
import type { FileUse } from "./file-access.ts";
import { waitForInterrupt } from "./interrupt.ts";
import type { PagerPipe, WriteSome } from "./output.ts";

/** A connection to a message bus or to one peer. */
export type Bus = Pick<BusClient, "call" | "subscribe" | "onClose" | "close">;

/** A connection to a Varlink service. */
export type Varlink = Pick<VarlinkClient, "call" | "callAll" | "descriptors" | "close">;

/** A process to run to its end, with variables added to the environment. */
export interface Command {
  readonly argv: readonly [string, ...string[]];
  readonly env?: Environment;
}

/** A helper that answers questions on the terminal while a verb runs. */
export interface Agent {
  stop(): void;
}

/** A program as agent; with `waitForReady` it gets `--notify-fd` and is waited for until it closes that. */
export interface AgentCommand {
  readonly argv: readonly [string, ...string[]];
  readonly waitForReady: boolean;
}

export interface Ports {
  readonly env: Environment;
  readonly euid: number;
  /** The user who runs the client: the kernel knows the number, the user database the name. */
  account(): Promise<Pick<Account, "uid" | "name">>;
  isTty(fd: number): boolean;
  ttyColumns(): number | undefined;
  readonly writeSome: WriteSome;
  nowUsec(): bigint;
  zone(): Promise<Zone>;
  connectBus(target: BusTarget): Promise<Bus>;
  connectVarlink(path: string): Promise<Varlink>;
  /** Connects faster, without support for descriptors. */
  connectPlainVarlink(path: string): Promise<Varlink>;
  /** The name of a process of this host, or null if it cannot be read. */
  processName(pid: number): Promise<string | null>;
  /** The name of a network interface of this host, or null if none has that index. */
  interfaceName(ifindex: number): Promise<string | null>;
  /** The stdout of a program, or null where it is not installed. */
  run(command: Command): Promise<string | null>;
  /** The processes of a unit as the control groups of this host show them. */
  localProcesses(unit: string, leader: number): Promise<UnitProcesses>;
  /** The first of some commands that is installed, as a pager; null where none is. */
  startPager(candidates: readonly Command[]): Promise<PagerPipe | null>;
  /** Null where the program is not installed. */
  startAgent(command: AgentCommand): Promise<Agent | null>;
  /** Whether a path of this host exists. */
  isThere(path: string): boolean;
  /** The whole text of a small file, or null when it cannot be read. */
  readText(path: string): Promise<string | null>;
  /** A file to hand to a daemon, or a standard stream by its number; the caller closes it. Throws an error with errno. */
  openFile(file: string | number, use?: FileUse): Promise<Fd>;
  /** The first Ctrl-C or SIGTERM from now on, which then does not end the process. */
  interrupted(): { readonly promise: Promise<void>; stop(): void };
}

/** Character devices that are terminals: consoles and serial lines, /dev/tty, pseudo terminals (devices.txt). */
function isTerminalMajor(major: number): boolean {
  return major === 4 || major === 5 || (major >= 136 && major <= 143);
}

const MEMORY_MAJOR = 1;

/**
 * isatty(3). Loading node:tty takes as long as half of a short command: it is asked only about rare character devices,
 * neither a usual terminal nor one like /dev/null.
 */
function isTerminal(fd: number): boolean {
  try {
    const status = fstatSync(fd);
    if (!status.isCharacterDevice()) return false;
    const major = (status.rdev >> 8) & 0xfff;
    if (isTerminalMajor(major) || major === MEMORY_MAJOR) return major !== MEMORY_MAJOR;
    return process.getBuiltinModule("node:tty").isatty(fd);
  } catch {
    return false;
  }
}

/** The ports of a real process. */
export function processPorts(): Ports {
  return {
    env: process.env,
    euid: process.geteuid?.() ?? 0,
    account: async () => (await import("../../kernel/process/account.ts")).ownAccount(),
    isTty: isTerminal,
    ttyColumns: () => process.stdout.columns,
    writeSome: (fd, bytes) => writeSync(fd, bytes),
    nowUsec: () => BigInt(Date.now()) * 1000n,
    zone: async () => (await import("../format/time-zone.ts")).localZone(process.env["TZ"]),
    connectBus: async (target) => (await import("../../ipc/bus/client.ts")).connectBus(target),
    connectVarlink: async (path) => (await import("../../ipc/varlink/connect.ts")).connectVarlink(path),
    connectPlainVarlink: async (path) => {
      // Managers before 256 have no such socket: no need to load the client to find that out.
      if (!existsSync(path)) throw new ErrnoError("ENOENT", `connect "${path}"`);
      return (await import("../../ipc/varlink/plain.ts")).connectPlainVarlink(path);
    },
    processName: async (pid) => (await import("./local-names.ts")).localProcessName(pid),
    interfaceName: async (ifindex) => (await import("./local-names.ts")).localInterfaceName(ifindex),
    localProcesses: async (unit, leader) => (await import("./local-processes.ts")).localProcesses(unit, leader),
    run: async (command) => (await import("./child.ts")).runChild(command),
    startPager: async (candidates) => (await import("./child.ts")).startPagerChild(candidates),
    startAgent: async (command) => (await import("./agent-child.ts")).startAgentChild(command),
    openFile: async (file, use = "read") => (await import("./file-access.ts")).openUserFile(file, use),
    interrupted: waitForInterrupt,
    isThere: existsSync,
    readText: async (path) => (await import("./child.ts")).readTextFile(path),
  };
}
