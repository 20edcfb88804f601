// The registration of machines, for CreateMachine*, RegisterMachine* and Varlink's Register
// (org.freedesktop.machine1(5); the order of the checks is the original's).

import type { REGISTRATION_RULES } from "../../api/shared-rules.ts";
import { unlessNoProcess } from "../../base/absence.ts";
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { idFromBytes } from "../../base/id128.ts";
import { isMachineName } from "../../base/names.ts";
import { MACHINE_CLASSES, type MachineClass } from "../../base/vocabulary/machine.ts";
import type { Call } from "../../daemon/call.ts";
import { permissionsOf } from "../../daemon/permission/access.ts";
import { authorize } from "../../daemon/permission/polkit.ts";
import type { Caller } from "../../ipc/caller.ts";
import { isPrivileged } from "../../ipc/caller.ts";
import { userNamespaceOwnerChain } from "../../kernel/process/namespace.ts";
import { PidRef, processUid } from "../../kernel/process/pidref.ts";
import { descriptionOf, requireBounds } from "../../registry/machine/description.ts";
import { machineExists, unsupported } from "../../registry/machine/errors.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { cgroupWithoutUnit } from "../../registry/machine/without-unit.ts";
import type { UnitPlace, UnitProperty } from "../../registry/ports.ts";
import type { Daemon } from "../action/daemon.ts";
import type { LeaderName, Registration } from "./registration.ts";
import { requireRoomForMachine } from "./user-share.ts";

/** With or without a scope of its own: the variants of the permission. */
type Kind = keyof typeof REGISTRATION_RULES;

/** PID 1, which cannot be the leader of a machine. */
const INIT_PID = 1;

/** Registers a machine whose leader is in a unit already. */
export async function registerMachine(daemon: Daemon, call: Call, registration: Registration): Promise<Machine> {
  return startAt(daemon, await admit(daemon, call, registration, "register"), (leader) => placeOf(daemon, leader));
}

/** As registerMachine(), but the leader may also be in a control group of its own that belongs to no unit. */
export async function registerWithoutUnit(daemon: Daemon, call: Call, registration: Registration): Promise<Machine> {
  return startAt(daemon, await admit(daemon, call, registration, "register"), (leader) => {
    const place = daemon.registry.placeOf(leader);
    if (place === null && cgroupWithoutUnit(leader) === null) {
      throw new ErrnoError("ENXIO", `Process ${leader.pid} has no control group of its own`);
    }
    return place;
  });
}

/** Starts an admitted machine where `placeOf` finds its leader; drops it from the registry on failure. */
function startAt(daemon: Daemon, machine: Machine, placeOf: (leader: PidRef) => UnitPlace | null): Machine {
  try {
    machine.place = placeOf(machine.leader);
    daemon.registry.start(machine);
    return machine;
  } catch (error) {
    daemon.registry.drop(machine);
    throw error;
  }
}

/** Registers a machine and makes a scope for its leader; resolves when the scope has been started. */
export async function createMachine(
  daemon: Daemon,
  call: Call,
  registration: Registration,
  scopeProperties: readonly UnitProperty[],
): Promise<Machine> {
  const { machine, finished } = await beginMachine(daemon, call, registration, scopeProperties);
  const result = await finished;
  if (result === "done") return machine;
  daemon.registry.forget(machine);
  const text = `Start job for unit ${machine.place?.unit} failed with '${result}'`;
  throw new MachinedError("JobFailed", text);
}

/** As createMachine(), but resolves when the scope's start is queued: Varlink replies then. */
export async function beginMachine(
  daemon: Daemon,
  call: Call,
  registration: Registration,
  scopeProperties: readonly UnitProperty[],
): Promise<{ machine: Machine; finished: Promise<string> }> {
  const machine = await admit(daemon, call, registration, "create");
  try {
    await daemon.registry.createScope(machine, scopeProperties);
    daemon.registry.start(machine);
  } catch (error) {
    daemon.registry.abandon(machine);
    throw error;
  }
  return { machine, finished: daemon.registry.finishJob(machine) };
}

/** Makes all checks, and adds the machine to the registry, which reserves its name. */
async function admit(daemon: Daemon, call: Call, registration: Registration, kind: Kind): Promise<Machine> {
  const { id, machineClass } = checkArguments(registration);
  const caller = await call.caller();
  requireRoomForMachine(daemon.registry.all(), caller);
  using owned = new DisposableStack();
  const leader = owned.use(pinLeader(registration.leader, caller));
  if (daemon.registry.isTaken(registration.name, caller.uid)) throw machineExists(registration.name);
  const supervisor = supervisorOf(caller, leader);
  if (supervisor !== null) owned.use(supervisor);
  await checkPermission(daemon, call, caller, registration, leader, kind);
  if (machineClass === null) throw unsupported();
  requireRoomForMachine(daemon.registry.all(), caller);
  const facts = { name: registration.name, id, class: machineClass, uid: caller.uid, leader, supervisor };
  const machine = daemon.registry.add({ ...descriptionOf(registration), ...facts });
  owned.move();
  return machine;
}

function checkArguments(registration: Registration): { id: Uint8Array | null; machineClass: MachineClass | null } {
  if (!isMachineName(registration.name)) throw invalidArgument("name", "Invalid machine name");
  const id = idFromBytes(registration.id);
  if (id === undefined) throw invalidArgument("id", "Invalid machine ID parameter");
  requireBounds(registration, "networkInterfaces");
  const machineClass = MACHINE_CLASSES.parse(registration.class) ?? null;
  if (machineClass === "host" || (machineClass === null && registration.class !== "")) {
    throw invalidArgument("class", "Invalid machine class parameter");
  }
  if (registration.leader.pid === INIT_PID) throw invalidArgument("leader", "Invalid leader PID");
  requireBounds(
    registration,
    "rootDirectory",
    "service",
    "sshAddress",
    "controlAddress",
    "sshPrivateKeyPath",
    "vsockCid",
  );
  return { id, machineClass };
}

function pinLeader(name: LeaderName, caller: Caller): PidRef {
  if (name.pidfd === undefined && name.pid === 0) return pinned(caller.pid, () => caller.openProcess());
  const { pidfd } = name;
  const leader = pinned(name.pid, () =>
    pidfd === undefined ? PidRef.of(name.pid) : PidRef.fromPidFd(pidfd.duplicate()),
  );
  const wrongNumber = pidfd !== undefined && name.pid !== 0 && leader.pid !== name.pid;
  const wrongInode = name.pidfdId !== undefined && leader.id !== null && leader.id !== name.pidfdId;
  if (!wrongNumber && !wrongInode && leader.pid !== INIT_PID) return leader;
  leader[Symbol.dispose]();
  if (wrongInode) throw new ErrnoError("ESRCH", `Failed to pin process ${name.pid}: ${errnoText("ESRCH")}`);
  throw invalidArgument("leader", "Invalid leader PID");
}

function pinned(pid: number, open: () => PidRef): PidRef {
  try {
    return open();
  } catch (error) {
    const errno = errnoNameOf(error) ?? "ESRCH";
    throw new ErrnoError(errno, `Failed to pin process ${pid}: ${errnoText(errno)}`, { cause: error });
  }
}

/**
 * Returns the supervisor: the caller, where the leader is another process. Terminating it ends the machine even where
 * the leader ignores SIGTERM.
 */
function supervisorOf(caller: Caller, leader: PidRef): PidRef | null {
  if (caller.pid <= INIT_PID || caller.pid === leader.pid) return null;
  // A supervisor that has ended meanwhile is not needed. Where one that runs cannot be opened, the error is thrown: the
  // machine must not be registered without it.
  return unlessNoProcess(() => caller.openProcess(), null);
}

async function checkPermission(
  daemon: Daemon,
  call: Call,
  caller: Caller,
  registration: Registration,
  leader: PidRef,
  kind: Kind,
): Promise<void> {
  if (daemon.registerPolicy === "self" && caller.uid !== process.geteuid?.()) {
    throw new MachinedError("AccessDenied", "Other users may not register machines with us, sorry.");
  }
  if (isPrivileged(caller)) return;
  if (daemon.registerPolicy === "root") throw new MachinedError("AccessDenied", "Access denied");
  const details = { name: registration.name, class: registration.class };
  const permissions = permissionsOf(call.access, { variant: kind, details }, daemon.hostVersion);
  const answer = await authorize(daemon.authority(), call, permissions);
  if (/^auth_admin(_keep)?$/.test(answer.get("polkit.result") ?? "")) return;
  if (!owns(caller.uid, leader)) {
    throw new MachinedError("AccessDenied", "Only privileged users may register machines for other users");
  }
}

/** Whether the process runs as the user, or in a user namespace of that user. */
function owns(uid: number, leader: PidRef): boolean {
  if (processUid(leader.pid) === uid && leader.isAlive()) return true;
  const { owners, reachedOwn } = userNamespaceOwnerChain(leader.pid);
  return reachedOwn && owners.includes(uid) && leader.isAlive();
}

function placeOf(daemon: Daemon, leader: PidRef): Machine["place"] {
  const { pid } = leader;
  const failed = (errno: string, cause?: unknown) =>
    new ErrnoError(errno, `Failed to determine unit of process ${pid} : ${errnoText(errno)}`, { cause });
  try {
    const place = leader.verified(() => daemon.registry.serviceManager.placeOf(pid));
    if (place === null) throw failed("ENXIO");
    return place;
  } catch (error) {
    if (error instanceof ErrnoError) throw error;
    throw failed(errnoNameOf(error) ?? "ENXIO", error);
  }
}
