// Binds the D-Bus rows to actions: mapping of arguments only. Getters return the values of properties.
import { Machine as MachineTable, Manager } from "../../api/machine1.ts";
import type { Getters, Handlers } from "../../api/table.ts";
import { busLabelEscape, busLabelUnescape } from "../../base/names.ts";
import { preparer } from "../../base/prepared.ts";
import { collectAmong } from "../../daemon/garbage-collection.ts";
import { type Collection, leaf } from "../../daemon/object-tree.ts";
import { type BoundInterface, type BusCallContext, bindInterface } from "../../ipc/bus/binding.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { perform } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { addressRows, machinePath, unitProperties } from "./bus-shapes.ts";
import { addressesOf, getOsRelease, machineOfProcess, mapFrom, mapTo, sshInfo, uidShift } from "./inspect.ts";
import { kill, terminate, unregister } from "./lifecycle.ts";
import { createMachine, registerMachine } from "./register.ts";
import { fromArguments, fromProperties } from "./registration.ts";

/** How much garbage a row of ListMachines makes, compared with a call. */
const CALLS_OF_ROW = 1 / 16;

type ManagerHandlers = Handlers<typeof Manager, BusCallContext>;
type MachineHandlers = Handlers<typeof MachineTable, BusCallContext<Machine>>;

/** The part of the manager that registers, describes and ends machines. */
function machineMethods(daemon: Daemon) {
  const { registry } = daemon;
  // The listed facts of a machine never change.
  const list = preparer((m: Machine) => [m.name, m.class, m.facts.service, machinePath(m)] as const);
  const pathOf = async (machine: Promise<Machine>) => ({ path: machinePath(await machine) });
  return {
    GetMachine: (_call, { name }) => ({ machine: machinePath(registry.get(name)) }),
    GetMachineByPID: async (call, { pid }) => ({
      machine: machinePath(machineOfProcess(daemon, pid, pid === 0 ? await call.caller() : null)),
    }),
    ListMachines: () => {
      collectAmong(registry.size * CALLS_OF_ROW);
      return { machines: list(registry.list()) };
    },
    CreateMachine: (call, args) =>
      pathOf(createMachine(daemon, call, fromArguments(args), unitProperties(args.scope_properties))),
    CreateMachineWithNetwork: (call, args) =>
      pathOf(createMachine(daemon, call, fromArguments(args), unitProperties(args.scope_properties))),
    CreateMachineEx: (call, { name, properties, scope_properties }) =>
      pathOf(createMachine(daemon, call, fromProperties(name, properties), unitProperties(scope_properties))),
    RegisterMachine: (call, args) => pathOf(registerMachine(daemon, call, fromArguments(args))),
    RegisterMachineWithNetwork: (call, args) => pathOf(registerMachine(daemon, call, fromArguments(args))),
    RegisterMachineEx: (call, { name, properties }) =>
      pathOf(registerMachine(daemon, call, fromProperties(name, properties))),
    UnregisterMachine: (call, { name }) => done(perform(daemon, call, unregister, { name })),
    TerminateMachine: (call, { id }) => done(perform(daemon, call, terminate, { name: id })),
    KillMachine: (call, args) => done(perform(daemon, call, kill, args)),
    GetMachineAddresses: (_call, { name }) => ({ addresses: addressRows(addressesOf(daemon, name)) }),
    GetMachineSSHInfo: (_call, { name }) => sshRow(sshInfo(daemon, name)),
    GetMachineOSRelease: (call, { name }) => fields(perform(daemon, call, getOsRelease, { name })),
    GetMachineUIDShift: (_call, { name }) => ({ shift: uidShift(registry.get(name)) }),
    MapFromMachineUser: (_call, { name, uid_inner }) => ({ uid_outer: mapFrom(daemon, name, "uid", uid_inner) }),
    MapFromMachineGroup: (_call, { name, gid_inner }) => ({ gid_outer: mapFrom(daemon, name, "gid", gid_inner) }),
    MapToMachineUser: (_call, { uid_outer }) => {
      const { machine, inner } = mapTo(daemon, "uid", uid_outer);
      return { machine_name: machine.name, machine_path: machinePath(machine), uid_inner: inner };
    },
    MapToMachineGroup: (_call, { gid_outer }) => {
      const { machine, inner } = mapTo(daemon, "gid", gid_outer);
      return { machine_name: machine.name, machine_path: machinePath(machine), gid_inner: inner };
    },
  } satisfies Partial<ManagerHandlers>;
}

/** A machine's own methods: the manager's without the name. */
function ownMethods(daemon: Daemon) {
  return {
    Terminate: (call) => done(perform(daemon, call, terminate, { name: call.subject.name })),
    Kill: (call, args) => done(perform(daemon, call, kill, { name: call.subject.name, ...args })),
    GetAddresses: (call) => ({ addresses: addressRows(addressesOf(daemon, call.subject.name)) }),
    GetSSHInfo: (call) => sshRow(sshInfo(daemon, call.subject.name)),
    GetOSRelease: (call) => fields(perform(daemon, call, getOsRelease, { name: call.subject.name })),
    GetUIDShift: (call) => ({ shift: uidShift(call.subject) }),
  } satisfies Partial<MachineHandlers>;
}

const machineGetters: Getters<typeof MachineTable, Machine> = {
  Name: (m) => m.name,
  Id: (m) => m.facts.id ?? new Uint8Array(0),
  Timestamp: (m) => m.startedAt?.realtimeUsec ?? 0n,
  TimestampMonotonic: (m) => m.startedAt?.monotonicUsec ?? 0n,
  Service: (m) => m.facts.service,
  Unit: (m) => m.place?.unit ?? "",
  Scope: (m) => m.place?.unit ?? "",
  Subgroup: (m) => m.place?.subgroup ?? "",
  Leader: (m) => m.leader.pid,
  LeaderPIDFDId: (m) => m.leader.id ?? 0n,
  Supervisor: (m) => m.facts.supervisor?.pid ?? 0,
  SupervisorPIDFDId: (m) => m.facts.supervisor?.id ?? 0n,
  Class: (m) => m.class,
  RootDirectory: (m) => m.facts.rootDirectory,
  NetworkInterfaces: (m) => m.facts.networkInterfaces,
  VSockCID: (m) => m.facts.vsockCid,
  SSHAddress: (m) => m.facts.sshAddress,
  SSHPrivateKeyPath: (m) => m.facts.sshPrivateKeyPath,
  State: (m) => m.state,
  UID: (m) => m.facts.uid,
};

/** The methods and properties of the manager about other subjects (images, terminals, copies). */
interface MoreMethods {
  readonly methods: Omit<ManagerHandlers, keyof ReturnType<typeof machineMethods>>;
  readonly pool: Getters<typeof Manager, null>;
}

/** Binds the manager's table to the daemon. */
export function bindManager(daemon: Daemon, { methods, pool }: MoreMethods): BoundInterface {
  return bindInterface(Manager, { ...machineMethods(daemon), ...methods } as ManagerHandlers, pool);
}

/** The D-Bus objects of machines, by their escaped names; `self` is the caller's own machine. */
export function machineObjects(
  daemon: Daemon,
  more: Omit<MachineHandlers, keyof ReturnType<typeof ownMethods>>,
): Collection {
  const { registry } = daemon;
  const handlers = { ...ownMethods(daemon), ...more } as MachineHandlers;
  const bound = bindInterface(MachineTable, handlers, machineGetters);
  const object = (machine: Machine | null) => (machine === null ? null : leaf(bound, machine));
  return {
    labels: () => Array.from(registry.list(), ({ name }) => busLabelEscape(name)).sort(),
    find(label, call) {
      if (label !== "self") return object(registry.find(busLabelUnescape(label)));
      return call.caller().then(({ pid }) => object(registry.findByProcess(pid)));
    },
  };
}

const NOTHING = {};

function done(result: void | Promise<void>): object | Promise<object> {
  return result instanceof Promise ? result.then(() => NOTHING) : NOTHING;
}

function sshRow(info: { address: string; privateKeyPath: string }) {
  return { ssh_address: info.address, ssh_private_key_path: info.privateKeyPath };
}

async function fields(release: ReadonlyMap<string, string> | Promise<ReadonlyMap<string, string>>) {
  return { fields: await release };
}
