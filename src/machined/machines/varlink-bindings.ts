// Binds the methods of io.systemd.Machine and io.machined.Machine to actions: mapping of arguments only.
import { IoMachinedMachine } from "../../api/varlink/io-machined-machine.ts";
import { IoSystemdMachine } from "../../api/varlink/io-systemd-machine.ts";
import type { ReceivedInteger, VarlinkParameters } from "../../api/varlink-table.ts";
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { isMachineNameOrHost } from "../../base/names.ts";
import { type BoundVarlink, bindVarlink, type VarlinkCall } from "../../ipc/varlink/binding.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { noSuchMachine } from "../../registry/machine/errors.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { checkId } from "../../registry/machine/uid-map.ts";
import { perform } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { openVarlinkHandlers } from "../inside/varlink-bindings.ts";
import { mapFrom, mapTo } from "./inspect.ts";
import { kill, terminate, unregister } from "./lifecycle.ts";
import { beginMachine, registerMachine, registerWithoutUnit } from "./register.ts";
import { fromVarlink, pidOf } from "./registration.ts";
import { type Description, type Descriptions, describeMachines } from "./varlink-rows.ts";

type Table = typeof IoSystemdMachine;
type Parameters<Member extends keyof Table["methods"]> = VarlinkParameters<Table, Member>;
type Lookup = Parameters<"Terminate">;
type ProcessId = NonNullable<Lookup["pid"]>;

/** Binds io.systemd.Machine to the daemon. */
export function machineVarlink(daemon: Daemon): BoundVarlink {
  return bindVarlink(IoSystemdMachine, {
    Register: async (call, p) => {
      const registration = fromVarlink(p);
      if (p.allocateUnit !== true) await registerMachine(daemon, call, registration);
      else void (await beginMachine(daemon, call, registration, [])).finished.catch(() => {});
    },
    Unregister: async (call, p) => perform(daemon, call, unregister, { name: await nameOf(daemon, call, p) }),
    Terminate: async (call, p) => perform(daemon, call, terminate, { name: await nameOf(daemon, call, p) }),
    Kill: async (call, p) =>
      perform(daemon, call, kill, {
        name: await nameOf(daemon, call, p),
        whom: p.whom ?? "all",
        signal: Number(p.signal),
      }),
    List: (call, p) => list(daemon, call, p),
    ...openVarlinkHandlers(daemon, (call, lookup) => nameOf(daemon, call, lookup)),
    MapFrom: async (call, p) => {
      const name = await nameOf(daemon, call, p);
      if (daemon.registry.get(name).class !== "container") throw new MachinedError("NotSupported", "No container");
      checkIds(p);
      const map = (kind: "uid" | "gid", id: ReceivedInteger | undefined) =>
        id === undefined ? undefined : noMapping(kind, () => mapFrom(daemon, name, kind, Number(id)));
      return { uid: map("uid", p.uid), gid: map("gid", p.gid) };
    },
    MapTo: (_call, p) => {
      checkIds(p);
      if (p.uid === undefined && p.gid === undefined) throw noSuchMachine();
      const uid = p.uid === undefined ? null : mapTo(daemon, "uid", Number(p.uid));
      const gid = p.gid === undefined ? null : mapTo(daemon, "gid", Number(p.gid));
      if (uid !== null && gid !== null && uid.machine !== gid.machine) throw noSuchMachine();
      return { uid: uid?.inner, gid: gid?.inner, machineName: (uid ?? gid)?.machine.name };
    },
  });
}

/** Binds io.machined.Machine to the daemon. */
export function ownMachineVarlink(daemon: Daemon): BoundVarlink {
  return bindVarlink(IoMachinedMachine, {
    RegisterWithoutUnit: async (call, { leader: pid, leaderPIDFDId: pidfdId, ...p }) => {
      const pinned = pidfdId === undefined ? {} : { leaderProcessId: { pid, pidfdId } };
      await registerWithoutUnit(daemon, call, fromVarlink({ ...p, leader: pid, ...pinned }));
    },
  });
}

/** Throws InvalidArgs for numbers that no user or group of Linux has. */
function checkIds({ uid, gid }: Pick<Parameters<"MapTo">, "uid" | "gid">): void {
  if (uid !== undefined) checkId("uid", Number(uid));
  if (gid !== undefined) checkId("gid", Number(gid));
}

/**
 * Calls `map`. Over D-Bus a missing group mapping is NoSuchUserMapping too; over Varlink it has an error of its own.
 */
function noMapping(kind: "uid" | "gid", map: () => number): number {
  try {
    return map();
  } catch (error) {
    if (kind !== "gid" || !(error instanceof MachinedError) || error.code !== "NoSuchUserMapping") throw error;
    throw new MachinedError("NoSuchGroupMapping", error.message);
  }
}

/** Returns the name of the machine that a call means; null without name and pid. Both must mean the same machine. */
async function lookUp(daemon: Daemon, call: VarlinkCall, { name, pid }: Lookup): Promise<string | null> {
  if (name !== undefined && !isMachineNameOrHost(name)) throw invalidArgument("name", "Invalid machine name");
  if (pid === undefined) {
    if (name !== undefined && daemon.registry.find(name) === null) throw noSuchMachine();
    return name ?? null;
  }
  const caller = await call.caller();
  const machine = machineOf(daemon, () => (pidOf(pid, "pid") === 0 ? caller.openProcess() : processOf(pid)));
  if (machine === null || (name !== undefined && machine.name !== name)) throw noSuchMachine();
  return machine.name;
}

/** Returns the machine of a process, which is pinned meanwhile; null for a process that has exited. */
function machineOf(daemon: Daemon, open: () => PidRef): Machine | null {
  try {
    using process = open();
    return process.verified(() => daemon.registry.findByProcess(process.pid));
  } catch (error) {
    if (errnoNameOf(error) === "ESRCH") return null;
    throw error;
  }
}

/** Opens the process that an id means. Throws ESRCH when its PID belongs to another process by now. */
function processOf(id: ProcessId): PidRef {
  const process = PidRef.of(pidOf(id, "pid"));
  const wanted = typeof id === "object" && id.pidfdId !== undefined ? BigInt(id.pidfdId) : null;
  if (wanted === null || process.id === null || process.id === wanted) return process;
  process[Symbol.dispose]();
  throw new ErrnoError("ESRCH", errnoText("ESRCH"));
}

async function nameOf(daemon: Daemon, call: VarlinkCall, lookup: Lookup): Promise<string> {
  const name = await lookUp(daemon, call, lookup);
  if (name === null) throw noSuchMachine();
  return name;
}

async function list(daemon: Daemon, call: VarlinkCall, p: Parameters<"List">): Promise<Description | Descriptions> {
  const metadata = p.acquireMetadata ?? "no";
  return perform(daemon, call, describeMachines, { name: await lookUp(daemon, call, p), metadata, more: call.more });
}
