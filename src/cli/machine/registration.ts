// The calls by which a machine with a given leader is registered, with daemons of all versions, and unregistered.
import { unitOfCgroup } from "../../base/names.ts";
import { plainInteger } from "../../base/text/json.ts";
import { Variant } from "../../base/variant.ts";
import { cgroupOrRoot } from "../../kernel/cgroup/cgroup.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import { attempt, Failure, isBusFailure, isVarlinkFailure, meansNoMachine, orNull } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { machineFacts } from "./details.ts";

const NO_SUCH_CALL = ["org.freedesktop.DBus.Error.UnknownMethod", "org.freedesktop.DBus.Error.NotSupported"];
/** The error of a leader that is in no unit. */
const NO_UNIT = "System.Error.ENXIO";
/** An interface that this project's daemon has, and systemd's has not. */
const WITHOUT_UNIT = "io.machined.Machine";
const NEEDS_UNIT =
  "The leader has to be in a unit: start it by 'systemd-run --scope' or in a service. Root can register one without, where it has a control group of its own.";

/** Returns the properties for RegisterMachineEx(), which systemd 260 and later have. */
function propertiesOf({ settings }: Session, leader: PidRef): [string, Variant][] {
  const { service, machineClass, rootDirectory, vsockCid, sshAddress, sshPrivateKey } = settings.registration;
  const texts = { Service: service, Class: machineClass, RootDirectory: rootDirectory };
  const more = { SSHAddress: sshAddress, SSHPrivateKeyPath: sshPrivateKey };
  if (leader.pidfd === null) {
    throw new Failure("Failed to open a pidfd of the leader: this kernel has none; Linux 5.3 or newer is needed");
  }
  return [
    ["LeaderPIDFD", new Variant("h", leader.pidfd)],
    ...Object.entries({ ...texts, ...more })
      .filter(([, text]) => text !== "")
      .map(([name, text]): [string, Variant] => [name, new Variant("s", text)]),
    ...(vsockCid === null ? [] : [["VSockCID", new Variant("u", vsockCid)] as [string, Variant]]),
  ];
}

/** Registers with a daemon before 260, and warns about properties that its RegisterMachine() does not accept. */
async function registerOld(session: Session, name: string, leader: PidRef): Promise<void> {
  const { service, machineClass, rootDirectory, vsockCid, sshAddress, sshPrivateKey } = session.settings.registration;
  if (vsockCid !== null || sshAddress !== "" || sshPrivateKey !== "") {
    session.report.warning(
      `Machine '${name}' is registered without VSOCK CID and SSH address: this systemd-machined accepts none`,
    );
  }
  await session.manager("RegisterMachine", {
    name,
    id: new Uint8Array(0),
    service,
    class: machineClass,
    leader: leader.pid,
    root_directory: rootDirectory,
  });
}

/** Registers a machine with this leader and the properties of the settings. Throws a Failure. */
export async function registerLeader(session: Session, name: string, leader: PidRef): Promise<void> {
  await attempt(
    `Failed to register machine '${name}'`,
    async () => {
      try {
        await registerInUnit(session, name, leader);
      } catch (error) {
        if (!isBusFailure(error, NO_UNIT) || !(await registerWithoutUnit(session, name, leader))) throw error;
      }
    },
    (error) => (isBusFailure(error, NO_UNIT) ? NEEDS_UNIT : undefined),
  );
}

async function registerInUnit(session: Session, name: string, leader: PidRef): Promise<void> {
  try {
    await session.manager("RegisterMachineEx", { name, properties: propertiesOf(session, leader) });
  } catch (error) {
    if (!isBusFailure(error, ...NO_SUCH_CALL)) throw error;
    await registerOld(session, name, leader);
  }
}

/**
 * Registers a leader that is in no unit, as lxc's containers are. Returns false where that is not possible: for users
 * other than root, with the original daemon, and for a leader that has no control group of its own.
 */
async function registerWithoutUnit(session: Session, name: string, leader: PidRef): Promise<boolean> {
  const { machineClass, service, rootDirectory, vsockCid, sshAddress, sshPrivateKey } = session.settings.registration;
  const varlink = await session.varlink();
  if (varlink === null) return false;
  const call = {
    ...{ name, class: machineClass, leader: leader.pid, service, rootDirectory },
    ...(leader.id === null ? {} : { leaderPIDFDId: plainInteger(leader.id) }),
    ...(vsockCid === null ? {} : { vSockCid: vsockCid }),
    ...(sshAddress === "" ? {} : { sshAddress }),
    ...(sshPrivateKey === "" ? {} : { sshPrivateKeyPath: sshPrivateKey }),
  };
  try {
    await varlink.call(`${WITHOUT_UNIT}.RegisterWithoutUnit`, call);
  } catch (error) {
    if (isVarlinkFailure(error)) return false;
    throw error;
  }
  return true;
}

/** Whether the daemon can register a process: one that is in a unit, or in none where it is this project's daemon. */
export async function canRegister(session: Session, leader: PidRef): Promise<boolean> {
  if (leader.verified(() => unitOfCgroup(cgroupOrRoot(leader.pid))) !== null) return true;
  const varlink = await session.varlink();
  if (varlink === null) return false;
  const described = varlink.call("org.varlink.service.GetInterfaceDescription", { interface: WITHOUT_UNIT });
  return (await orNull(described)) !== null;
}

/**
 * Unregisters the machine whose leader is the process `pid`, unless another machine has the name by now. Returns
 * whether it was that one.
 */
export async function unregisterOf(session: Session, name: string, pid: number): Promise<boolean> {
  try {
    const { leaderPid } = await machineFacts(session, name);
    if (leaderPid !== pid) return false;
    await session.manager("UnregisterMachine", { name });
    return true;
  } catch (error) {
    if (!isBusFailure(error) && !meansNoMachine(error)) throw error;
    return false;
  }
}
