// Queries about machines: by name, process or user; addresses, OS release, id mappings
// (org.freedesktop.machine1(5), GetMachine() ff.).
import { meansNoProcess } from "../../base/absence.ts";
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import type { Caller } from "../../ipc/caller.ts";
import type { LocalAddress } from "../../kernel/socket/netlink.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { HOST_ID_END, type IdKind, idMapsOf, mapInward, mapOutward, shiftOf } from "../../registry/machine/uid-map.ts";
import { defineAction } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { grantOn } from "../action/machine-grant.ts";
import { osRelease } from "../inside/os-release.ts";

/** Returns the machine that a process belongs to; pid 0 is the caller. Throws NoMachineForPID. */
export function machineOfProcess(daemon: Daemon, pid: number, caller: Caller | null): Machine {
  if (pid > 0x7fff_ffff) throw invalidArgument("pid", "Invalid argument");
  const actual = pid === 0 ? (caller?.pid ?? 0) : pid;
  const machine = daemon.registry.findByProcess(actual);
  if (machine === null) {
    throw new MachinedError("NoMachineForPID", `PID ${pid} does not belong to any known machine`);
  }
  return machine;
}

/** Returns the IP addresses of a machine. */
export function addressesOf(daemon: Daemon, name: string): readonly LocalAddress[] {
  return daemon.addresses.of(daemon.registry.get(name));
}

/** Returns the SSH address and key of a machine; throws FileNotFound where either is missing. */
export function sshInfo(daemon: Daemon, name: string): { address: string; privateKeyPath: string } {
  const { facts } = daemon.registry.get(name);
  if (facts.sshAddress === "" || facts.sshPrivateKeyPath === "") throw new ErrnoError("ENOENT", errnoText("ENOENT"));
  return { address: facts.sshAddress, privateKeyPath: facts.sshPrivateKeyPath };
}

/** Returns the os-release fields of a machine. */
export const getOsRelease = defineAction({
  prepare(daemon, { name }: { name: string }) {
    const machine = daemon.registry.get(name);
    return { subject: machine, grant: grantOn(machine) };
  },
  run: (daemon, { subject: machine }) => osRelease(daemon, machine),
});

/** Returns the first host id of a machine's user namespace. */
export function uidShift(machine: Machine): number {
  if (machine.isHost) return 0;
  if (machine.class !== "container") {
    throw new MachinedError("NotSupported", "UID/GID shift may only be determined for container machines.");
  }
  const shift = shiftOf(idMapsOf(machine.leader));
  if (shift === null) {
    const text = `Machine ${machine.name} uses a complex UID/GID mapping, cannot determine shift`;
    throw new MachinedError("NotSupported", text);
  }
  return shift;
}

const NAMES = {
  uid: { noun: "user", title: "User", unknown: "NoSuchUserMapping", inHost: "UserInHostRange", range: "UID" },
  gid: { noun: "group", title: "Group", unknown: "NoSuchGroupMapping", inHost: "GroupInHostRange", range: "GID" },
} as const;

function isId(id: number): boolean {
  return id !== 0xffff_ffff && id !== 0xffff;
}

function checkId(kind: IdKind, id: number): void {
  if (!isId(id)) throw invalidArgument(kind, `Invalid ${NAMES[kind].noun} ID ${id}`);
}

/** Returns the host id of a container's id. */
export function mapFrom(daemon: Daemon, name: string, kind: IdKind, inner: number): number {
  checkId(kind, inner);
  const machine = daemon.registry.get(name);
  if (machine.class !== "container") throw invalidArgument("name", "Not supported for non-container machines.");
  const outer = mapOutward(idMapsOf(machine.leader)[kind], inner);
  if (outer !== null) return outer;
  // The original answers NoSuchUserMapping for groups, too, and clients depend on it.
  const text = `Machine '${name}' has no matching ${NAMES[kind].noun} mappings.`;
  throw new MachinedError("NoSuchUserMapping", text);
}

/** Returns the container of a host id, and the id there. */
export function mapTo(daemon: Daemon, kind: IdKind, outer: number): { machine: Machine; inner: number } {
  checkId(kind, outer);
  const names = NAMES[kind];
  if (outer < HOST_ID_END) {
    throw new MachinedError(names.inHost, `${names.title} ${outer} belongs to host ${names.range} range`);
  }
  const found = containerOf(daemon, kind, outer);
  if (found === null) throw new MachinedError(names.unknown, `No matching ${names.noun} mapping for ${outer}.`);
  // The last id of 16 bits, and of 32, means "none".
  if (!isId(found.inner)) throw invalidArgument(kind, "Invalid argument");
  return found;
}

/**
 * Returns the first container that has a host id, and the id there; null where none has it. A machine that has ended
 * meanwhile has none. Throws where the maps of a container cannot be read (no descriptor is free) and no other one has
 * the id.
 */
export function containerOf(
  daemon: Daemon,
  kind: IdKind,
  outer: number,
): { readonly machine: Machine; readonly inner: number } | null {
  let failure: unknown = null;
  for (const machine of daemon.registry.list()) {
    if (machine.class !== "container") continue;
    try {
      const inner = mapInward(idMapsOf(machine.leader)[kind], outer);
      if (inner !== null) return { machine, inner };
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      if (!meansNoProcess(error)) failure = error;
    }
  }
  if (failure !== null) throw failure;
  return null;
}
