// Binds the D-Bus rows that reach inside a machine to actions: mapping of arguments only. Each is a method of the
// manager, with the machine's name, and of the machine, without it.

import type { Machine as MachineTable, Manager } from "../../api/machine1.ts";
import type { Handlers } from "../../api/table.ts";
import type { Call } from "../../daemon/call.ts";
import type { BusCallContext } from "../../ipc/bus/binding.ts";
import type { Pty } from "../../kernel/terminal/pty.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { perform } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { bindMount, type CopyRequest, copyFiles } from "./files.ts";
import { openLogin, openPty, openRootDirectory, openShell } from "./terminals.ts";

type ManagerHandlers = Handlers<typeof Manager, BusCallContext>;
type MachineHandlers = Handlers<typeof MachineTable, BusCallContext<Machine>>;

/** The manager's methods. */
export function openManagerMethods(daemon: Daemon) {
  const copy = (call: Call, direction: CopyRequest["direction"], args: CopyArguments & { name: string }) =>
    done(perform(daemon, call, copyFiles, { flags: NO_FLAGS, ...args, direction }));
  return {
    BindMountMachine: (call, { read_only, ...args }) =>
      done(perform(daemon, call, bindMount, { ...args, readOnly: read_only })),
    CopyFromMachine: (call, args) => copy(call, "from-machine", args),
    CopyToMachine: (call, args) => copy(call, "to-machine", args),
    CopyFromMachineWithFlags: (call, args) => copy(call, "from-machine", args),
    CopyToMachineWithFlags: (call, args) => copy(call, "to-machine", args),
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
  const copy = (call: BusCallContext<Machine>, direction: CopyRequest["direction"], args: CopyArguments) =>
    done(perform(daemon, call, copyFiles, { flags: NO_FLAGS, ...args, name: call.subject.name, direction }));
  return {
    BindMount: (call, { read_only, ...args }) =>
      done(perform(daemon, call, bindMount, { ...args, name: call.subject.name, readOnly: read_only })),
    CopyFrom: (call, args) => copy(call, "from-machine", args),
    CopyTo: (call, args) => copy(call, "to-machine", args),
    CopyFromWithFlags: (call, args) => copy(call, "from-machine", args),
    CopyToWithFlags: (call, args) => copy(call, "to-machine", args),
    OpenPTY: async (call) => terminal(await perform(daemon, call, openPty, { name: call.subject.name })),
    OpenLogin: async (call) => terminal(await perform(daemon, call, openLogin, { name: call.subject.name })),
    OpenShell: async (call, args) =>
      terminal(await perform(daemon, call, openShell, { name: call.subject.name, ...args })),
    OpenRootDirectory: async (call) => ({
      fd: await perform(daemon, call, openRootDirectory, { name: call.subject.name }),
    }),
  } satisfies Partial<MachineHandlers>;
}

type CopyArguments = Pick<CopyRequest, "source" | "destination"> & Partial<Pick<CopyRequest, "flags">>;

const NO_FLAGS = 0n;
const NOTHING = {};

async function done(result: void | Promise<void>): Promise<object> {
  await result;
  return NOTHING;
}

function terminal({ master, path }: Pty) {
  return { pty: master, pty_path: path };
}
