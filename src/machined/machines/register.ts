// Registering machines: CreateMachine*, RegisterMachine* and Varlink's Register lead here
// (org.freedesktop.machine1(5); the order of the checks is the original's).
import type { REGISTRATION_RULES } from "../../api/shared-rules.ts";
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { idFromBytes } from "../../base/id128.ts";
import { isMachineName } from "../../base/names.ts";
import { MACHINE_CLASSES, type MachineClass } from "../../base/vocabulary/machine.ts";
import { permissionsOf } from "../../daemon/access.ts";
import type { Call } from "../../daemon/call.ts";
import { authorize } from "../../daemon/polkit.ts";
import type { Caller } from "../../ipc/caller.ts";
import { isPrivileged } from "../../ipc/caller.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { userNamespaceOwnerChain } from "../../kernel/process/namespace.ts";
import { PidRef, processUid } from "../../kernel/process/pidref.ts";
import { machineExists, unsupported } from "../../registry/machine/errors.ts";
import {
  INTERFACES_LIMIT,
  isAddressText,
  isInterfaceIndex,
  isPathOrNone,
  isServiceName,
  isVsockCid,
} from "../../registry/machine/limits.ts";
import { type Machine, VSOCK_CID_ANY } from "../../registry/machine/machine.ts";
import type { UnitProperty } from "../../registry/ports.ts";
import type { Daemon } from "../action/daemon.ts";

/** The leader as a caller names it: by pidfd (taken), by number with or without the pidfd's inode, or itself (pid 0). */
interface LeaderName {
  readonly pid: number;
  readonly pidfd?: Fd | undefined;
  readonly pidfdId?: bigint | undefined;
}

export interface Registration {
  readonly name: string;
  readonly id: Uint8Array;
  readonly service: string;
  readonly class: string;
  readonly leader: LeaderName;
  readonly rootDirectory: string;
  readonly networkInterfaces: readonly number[];
  readonly vsockCid: number;
  readonly sshAddress: string;
  readonly sshPrivateKeyPath: string;
  readonly controlAddress: string;
}

/** Whether the machine gets a scope of its own: the variants of the permission. */
type Kind = keyof typeof REGISTRATION_RULES;

/** The unit of systemd itself and everything above it is nobody's machine. */
const INIT_PID = 1;

/** Registers a machine whose leader is in a unit already. */
export async function registerMachine(daemon: Daemon, call: Call, registration: Registration): Promise<Machine> {
  const machine = await admit(daemon, call, registration, "register");
  try {
    machine.place = placeOf(daemon, machine.leader);
    daemon.registry.start(machine);
    return machine;
  } catch (error) {
    daemon.registry.drop(machine);
    throw error;
  }
}

/** Registers a machine and makes a scope for its leader; answers when the scope stands. */
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

/** The same up to the point where the scope's start is queued: Varlink answers then. */
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

/** Makes all checks; returns the machine, with its name reserved. */
async function admit(daemon: Daemon, call: Call, registration: Registration, kind: Kind): Promise<Machine> {
  const { id, machineClass } = checkArguments(registration);
  const caller = await call.caller();
  using owned = new DisposableStack();
  const leader = owned.use(pinLeader(registration.leader, caller));
  if (daemon.registry.isTaken(registration.name, caller.uid)) throw machineExists(registration.name);
  const supervisor = supervisorOf(caller, leader);
  if (supervisor !== null) owned.use(supervisor);
  await checkPermission(daemon, call, caller, registration, leader, kind);
  if (machineClass === null) throw unsupported();
  const { service, rootDirectory, networkInterfaces, vsockCid, sshAddress, sshPrivateKeyPath, controlAddress, name } =
    registration;
  const machine = daemon.registry.add({
    ...{ name, id, service, class: machineClass, rootDirectory, networkInterfaces, vsockCid },
    ...{ sshAddress, sshPrivateKeyPath, controlAddress, uid: caller.uid, leader, supervisor },
  });
  owned.move();
  return machine;
}

function checkArguments(registration: Registration): { id: Uint8Array | null; machineClass: MachineClass | null } {
  if (!isMachineName(registration.name)) throw invalidArgument("name", "Invalid machine name");
  const id = idFromBytes(registration.id);
  if (id === undefined) throw invalidArgument("id", "Invalid machine ID parameter");
  checkInterfaces(registration.networkInterfaces);
  const machineClass = MACHINE_CLASSES.parse(registration.class) ?? null;
  if (machineClass === "host" || (machineClass === null && registration.class !== "")) {
    throw invalidArgument("class", "Invalid machine class parameter");
  }
  if (registration.leader.pid === INIT_PID) throw invalidArgument("leader", "Invalid leader PID");
  checkTexts(registration);
  const { vsockCid } = registration;
  if (vsockCid !== VSOCK_CID_ANY && !isVsockCid(vsockCid)) throw invalidArgument("vSockCid", "Invalid VSOCK CID");
  return { id, machineClass };
}

function checkInterfaces(indices: readonly number[]): void {
  const bad = indices.find((index) => !isInterfaceIndex(index));
  if (bad !== undefined) throw invalidArgument("ifIndices", `Invalid network interface index ${bad}`);
  if (indices.length > INTERFACES_LIMIT) {
    throw invalidArgument("ifIndices", `Too many network interfaces, at most ${INTERFACES_LIMIT} are taken`);
  }
}

/** The original bounds the root directory alone, and takes everything else as it is. */
function checkTexts(registration: Registration): void {
  if (!isPathOrNone(registration.rootDirectory)) {
    throw invalidArgument("rootDirectory", "Root directory must be empty or an absolute path");
  }
  if (!isServiceName(registration.service)) throw unfit("service", "Service name");
  if (!isAddressText(registration.sshAddress)) throw unfit("sshAddress", "SSH address");
  if (!isAddressText(registration.controlAddress)) throw unfit("controlAddress", "Control address");
  if (!isAddressText(registration.sshPrivateKeyPath)) throw unfit("sshPrivateKeyPath", "SSH private key path");
}

function unfit(parameter: string, what: string): MachinedError {
  return invalidArgument(parameter, `${what} is too long or contains control characters`);
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

/** Whoever registers somebody else looks after it: terminating it ends the machine even if the leader ignores that. */
function supervisorOf(caller: Caller, leader: PidRef): PidRef | null {
  if (caller.pid <= INIT_PID || caller.pid === leader.pid) return null;
  try {
    return caller.openProcess();
  } catch {
    return null; // it has gone in the meantime; the machine can do without
  }
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
