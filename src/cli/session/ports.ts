// What the clients need from outside, as one object: the process, its terminal, the connections, helper programs. Tests
// pass their own; the real ones are in process-ports.ts.
import type { Zone } from "../../base/format.ts";
import type { BusClient } from "../../ipc/bus/client.ts";
import type { BusTarget } from "../../ipc/bus/transport.ts";
import type { VarlinkClient } from "../../ipc/varlink/client.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { Account } from "../../kernel/process/account.ts";
import type { UnitProcesses } from "../format/process-tree.ts";
import type { Environment } from "../format/terminal.ts";
import type { FileUse } from "./file-access.ts";
import type { PagerPipe, WriteSome } from "./output.ts";

/** A connection to a message bus or to one peer. */
export type Bus = Pick<BusClient, "call" | "subscribe" | "onClose" | "close">;

/** A connection to a Varlink service. */
export type Varlink = Pick<VarlinkClient, "call" | "callAll" | "callMore" | "descriptors" | "close">;

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
  ttyColumns(fd: 1 | 2): number | undefined;
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
  /** Calls the listener whenever the terminal has got another size; returns what ends that. */
  onResize(listener: () => void): () => void;
}
