// Everything through which a client reaches the outside, as one interface: the process, its terminal, connections,
// files, helper programs. process-ports.ts implements it; tests pass an implementation of their own.
import type { Zone } from "../../base/text/format.ts";
import type { BusClient } from "../../ipc/bus/client.ts";
import type { BusTarget } from "../../ipc/bus/transport.ts";
import type { VarlinkClient } from "../../ipc/varlink/client.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { Account } from "../../kernel/process/account.ts";
import type { UnitProcesses } from "../format/process-tree.ts";
import type { Environment } from "../format/terminal.ts";
import type { FileUse } from "../local/file-access.ts";
import type { PagerPipe, WriteBrief, WriteSome } from "./output.ts";

/** A D-Bus connection, to a message bus or directly to one peer. */
export type Bus = Pick<BusClient, "call" | "subscribe" | "onClose" | "close">;

/** What a connection to a bus is for: calls alone, calls with descriptors in their replies, or signals as well. */
export type BusUse = "calls" | "descriptors" | "signals";

/** A connection to a Varlink service. */
export type Varlink = Pick<VarlinkClient, "call" | "callAll" | "callMore" | "descriptors" | "close">;

/** A program with its arguments, and variables that are added to its environment. */
export interface Command {
  readonly argv: readonly [string, ...string[]];
  readonly env?: Environment;
}

/** A running agent, which asks the user for passwords on the terminal. */
export interface Agent {
  stop(): void;
}

/**
 * The program of an agent. With `waitForReady` the program is started with `--notify-fd`, and the start is over when it
 * closes that descriptor.
 */
export interface AgentCommand {
  readonly argv: readonly [string, ...string[]];
  readonly waitForReady: boolean;
}

/** The outside of a client. */
export interface Ports {
  readonly env: Environment;
  readonly euid: number;
  /** The user who runs the client, with the name from the user database. */
  account(): Promise<Pick<Account, "uid" | "name">>;
  isTty(fd: number): boolean;
  ttyColumns(fd: 1 | 2): number | undefined;
  readonly writeSome: WriteSome;
  readonly writeBrief: WriteBrief;
  nowUsec(): bigint;
  zone(): Promise<Zone>;
  /** Connects to a bus; `use` is what the connection is for: with less, it is made faster. */
  connectBus(target: BusTarget, use: BusUse): Promise<Bus>;
  connectVarlink(path: string): Promise<Varlink>;
  /** Connects to the same kind of service faster, but cannot pass descriptors. */
  connectPlainVarlink(path: string): Promise<Varlink>;
  /**
   * The name of a process of this host; null if it cannot be read, or if its pidfd has another id than `pidfdId`. Where
   * that is null, or where the kernel has no such ids, the number alone counts.
   */
  processName(pid: number, pidfdId?: bigint | null): Promise<string | null>;
  /** The name of a network interface of this host, or null if none has that index. */
  interfaceName(ifindex: number): Promise<string | null>;
  /** Runs a program to its end; returns its stdout, or null if it is not installed. */
  run(command: Command): Promise<string | null>;
  /** The processes of a machine's unit, read from the control groups of this host; `leader` is the machine's leader. */
  localProcesses(unit: string, leader: number): Promise<UnitProcesses>;
  /** Returns a function that starts the first of the commands that is installed, as a pager; null if none is. */
  findPager(candidates: readonly Command[]): Promise<(() => PagerPipe | null) | null>;
  /** Starts an agent; returns null if its program is not installed. */
  startAgent(command: AgentCommand): Promise<Agent | null>;
  /** Whether a path of this host exists. */
  isThere(path: string): boolean;
  /** Whether a path of this host is a regular file that is not empty. */
  hasContent(path: string): Promise<boolean>;
  /** Whether two paths of this host, whose links are followed, are those of one file. */
  isSameFile(path: string, other: string): Promise<boolean>;
  /** The whole text of a small file, or null when it cannot be read. */
  readText(path: string): Promise<string | null>;
  /**
   * Opens a path, or duplicates a standard stream given by its number, to send it to a daemon. The caller closes it.
   * Throws an error with errno.
   */
  openFile(file: string | number, use?: FileUse): Promise<Fd>;
  /**
   * The promise resolves at the first SIGINT or SIGTERM, or also when nobody reads standard output any more; until
   * `stop` is called, these signals do not end the process.
   */
  interrupted(orReader?: "or-reader-left"): { readonly promise: Promise<void>; stop(): void };
  /** Calls the listener whenever the terminal has been resized; returns a function that removes the listener. */
  onResize(listener: () => void): () => void;
}
