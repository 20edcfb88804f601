// The system bus inside a machine, for the length of a few calls.
//
// The machine decides what stands at the end of the socket, so nothing here waits for it: connecting does not block, and
// greeting and calls have deadlines. The socket is found beneath the machine's root and connected to as the machine's own
// root user. That is whom its bus knows; and where the path was made to lead to a socket of the host, that user is
// nobody special there.
import { ErrnoError, errnoNameOf, MachinedError } from "../../base/error.ts";
import { type BusCall, BusConnection } from "../../ipc/bus/connection.ts";
import { BusError } from "../../ipc/bus/error.ts";
import { ClientHandshake } from "../../ipc/bus/handshake.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { Identity } from "../../kernel/process/namespace.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { Operations } from "../../registry/operation.ts";
import type { Daemon } from "../action/daemon.ts";
import { reach } from "./open-in-machine.ts";
import { rootIdentity } from "./root-identity.ts";

/** What a call in a machine may take: calls with descriptors, answered by the machine's service manager. */
export type MachineCall = (call: BusCall) => Promise<unknown[]>;

/** The second is where distributions from before /run had it. */
const SOCKETS = ["/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"];

const GREETING_TIMEOUT_MS = 5_000;
const CALL_TIMEOUT_MS = 10_000;
/** A bus whose queue of connections is full is tried again this often, until the greeting's time is over. */
const RETRY_MS = 50;

/**
 * Runs `use` with a way to call services on the machine's bus; the connection ends with it. For the host that is the
 * daemon's own. `passesDescriptors`: calls take some along. Throws NoIPC where there is no bus, Timeout where it does not answer, BusError as the services say.
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
  const socket = await openSocket(operations, machine, deadlineMs);
  // Its root is id 0 to the machine, whatever that is to us.
  const handshake = new ClientHandshake(0, { passesDescriptors });
  // Whatever it sends of its own accord is closed by the kernel: no answer comes with a descriptor.
  const connection = new BusConnection(socket, {}, { handshake, descriptors: "none" });
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

/** Anything but a socket refuses the connection. */
async function firstSocket(operations: Operations, machine: Machine, identity: Identity): Promise<Fd> {
  let missing: unknown;
  for (const path of SOCKETS) {
    try {
      return await reach(operations, machine, { path, kind: "socket", identity });
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
