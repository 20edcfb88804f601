// The system bus inside a machine, for the length of a few calls.
//
// The machine controls the peer of the socket, so nothing here waits for it: connecting does not block, and greeting
// and calls have deadlines. The socket is opened beneath the machine's root and connected to as the machine's own root
// user. The machine's bus accepts that user; and where the path leads to a socket of the host, that user has no
// privileges there.
import { ErrnoError, errnoNameOf, MachinedError } from "../../base/error.ts";
import { type BusCall, BusConnection } from "../../ipc/bus/connection.ts";
import { BusError } from "../../ipc/bus/error.ts";
import { ClientHandshake } from "../../ipc/bus/handshake.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { Identity } from "../../kernel/process/namespace.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { Operations } from "../../registry/operation.ts";
import type { Daemon } from "../action/daemon.ts";
import { openInMachine } from "./open-in-machine.ts";
import { rootIdentity } from "./root-identity.ts";

/** Makes a call on the machine's bus; returns the body of the reply. */
export type MachineCall = (call: BusCall) => Promise<unknown[]>;

/** The paths of the socket; the second is that of distributions from before /run. */
const SOCKETS = ["/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"];

const GREETING_TIMEOUT_MS = 5_000;
const CALL_TIMEOUT_MS = 10_000;
/**
 * The pause between attempts to connect to a bus whose queue of connections is full, until the deadline of the
 * greeting.
 */
const RETRY_MS = 50;
/**
 * How much a machine's bus may send while it is called: names of units and jobs, and texts of errors. Whoever owns a
 * machine may make many calls that wait for its bus. Each would otherwise take memory for a message that never ends, or
 * time for messages without end.
 */
const RECEIVE_LIMIT_BYTES = 64 << 10;
/** How often a bus is greeted that ends the connection instead of answering: one that is being restarted does that. */
const GREETINGS = 3;

/**
 * Runs `use` with a connection to the machine's bus, which is closed afterwards. For `.host` it is the daemon's own
 * connection. `passesDescriptors`: calls carry descriptors. Throws NoIPC where there is no bus, Timeout where it does
 * not answer, and the BusErrors of the services.
 */
export async function withMachineBus<Result>(
  daemon: Daemon,
  machine: Machine,
  use: (call: MachineCall) => Promise<Result>,
  { passesDescriptors = false } = {},
): Promise<Result> {
  if (machine.isHost) return useHostBus(daemon, use);
  const connection = await connect(daemon.operations, machine, passesDescriptors);
  try {
    return await use((call) => inTime(machine, connection, call));
  } finally {
    connection.close();
  }
}

function useHostBus<Result>(daemon: Daemon, use: (call: MachineCall) => Promise<Result>): Promise<Result> {
  const bus = daemon.bus();
  if (bus === null) throw new MachinedError("NoIPC", "There is no system bus on this host.");
  return use((call) => bus.call({ ...call, timeoutMs: CALL_TIMEOUT_MS }));
}

async function inTime(machine: Machine, connection: BusConnection, call: BusCall): Promise<unknown[]> {
  try {
    return await connection.call({ ...call, timeoutMs: CALL_TIMEOUT_MS });
  } catch (error) {
    if (error instanceof BusError && error.errorName.endsWith(".Error.NoReply")) throw silent(machine, error);
    throw error;
  }
}

async function connect(operations: Operations, machine: Machine, passesDescriptors: boolean): Promise<BusConnection> {
  const deadlineMs = performance.now() + GREETING_TIMEOUT_MS;
  for (let tries = 1; ; tries++) {
    const socket = await openSocket(operations, machine, deadlineMs);
    try {
      return await greet(socket, machine, deadlineMs, passesDescriptors);
    } catch (error) {
      const hasEnded = error instanceof BusError && error.errorName.endsWith(".Error.Disconnected");
      if (tries === GREETINGS || !hasEnded) throw error;
    }
    await Bun.sleep(RETRY_MS);
  }
}

/** Takes ownership of the socket. */
async function greet(
  socket: Fd,
  machine: Machine,
  deadlineMs: number,
  passesDescriptors: boolean,
): Promise<BusConnection> {
  // The machine's root is id 0 there, whichever user of the host that is.
  const handshake = new ClientHandshake(0, { passesDescriptors });
  // No reply has descriptors: the kernel closes those that the machine sends.
  const options = { handshake, descriptors: "none", receiveLimitBytes: RECEIVE_LIMIT_BYTES } as const;
  // Calls get no reply: their senders may not read it, and it would wait in our memory.
  const connection = new BusConnection(socket, { call: () => {} }, options);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    connection.close();
  }, deadlineMs - performance.now());
  try {
    await connection.ready();
    return connection;
  } catch (error) {
    connection.close();
    throw isLate ? silent(machine, error) : error;
  } finally {
    clearTimeout(timer);
  }
}

async function openSocket(operations: Operations, machine: Machine, deadlineMs: number): Promise<Fd> {
  const identity = rootIdentity(machine);
  if (identity === null) throw new ErrnoError("EOPNOTSUPP", `Machine ${machine.name} has no root user`);
  for (;;) {
    try {
      return await firstSocket(operations, machine, identity);
    } catch (error) {
      if (errnoNameOf(error) !== "EAGAIN") throw error;
      if (performance.now() + RETRY_MS > deadlineMs) throw silent(machine, error);
    }
    await Bun.sleep(RETRY_MS);
  }
}

/** Connects to the socket; any other kind of file refuses the connection. */
async function firstSocket(operations: Operations, machine: Machine, identity: Identity): Promise<Fd> {
  let missing: unknown;
  for (const path of SOCKETS) {
    try {
      return await openInMachine(operations, machine, { path, kind: "socket", identity });
    } catch (error) {
      if (!["ENOENT", "ENOTDIR"].includes(errnoNameOf(error) ?? "")) throw error;
      missing = error;
    }
  }
  throw new MachinedError("NoIPC", `There is no system bus in container ${machine.name}.`, { cause: missing });
}

function silent(machine: Machine, cause: unknown): MachinedError {
  return new MachinedError("Timeout", `The system bus in container ${machine.name} does not answer.`, { cause });
}
