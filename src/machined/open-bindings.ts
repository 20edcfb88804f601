// D-Bus rows that reach inside a machine → actions: argument mapping only. Each stands on the manager with the machine's
// name, and on the machine without.
import type { Machine as MachineTable, Manager } from "../api/machine1.ts";
import type { Handlers } from "../api/table.ts";
import type { BusCallContext } from "../ipc/bus-server.ts";
import type { Pty } from "../kernel/pty.ts";
import type { Machine } from "../registry/machine.ts";
import { perform } from "./action.ts";
import type { Daemon } from "./daemon.ts";
import { openLogin, openPty, openRootDirectory, openShell } from "./open.ts";

type ManagerHandlers = Handlers<typeof Manager, BusCallContext>;
type MachineHandlers = Handlers<typeof MachineTable, BusCallContext<Machine>>;

/** The manager's methods. */
export function openManagerMethods(daemon: Daemon) {
  return {
    OpenMachinePTY: async (call, { name }) => terminal(await perform(daemon, call, openPty, { name })),
    OpenMachineLogin: async (call, { name }) => terminal(await perform(daemon, call, openLogin, { name })),
    OpenMachineShell: async (call, args) => terminal(await perform(daemon, call, openShell, args)),
    OpenMachineRootDirectory: async (call, { name }) => ({
      fd: await perform(daemon, call, openRootDirectory, { name }),
    }),
  } satisfies Partial<ManagerHandlers>;
}

/** A machine's own methods. */
export function openMachineMethods(daemon: Daemon) {
  return {
    OpenPTY: async (call) => terminal(await perform(daemon, call, openPty, { name: call.subject.name })),
    OpenLogin: async (call) => terminal(await perform(daemon, call, openLogin, { name: call.subject.name })),
    OpenShell: async (call, args) =>
      terminal(await perform(daemon, call, openShell, { name: call.subject.name, ...args })),
    OpenRootDirectory: async (call) => ({
      fd: await perform(daemon, call, openRootDirectory, { name: call.subject.name }),
    }),
  } satisfies Partial<MachineHandlers>;
}

function terminal({ master, path }: Pty) {
  return { pty: master, pty_path: path };
}
