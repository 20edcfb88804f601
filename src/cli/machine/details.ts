// Collects the data about one machine that `status` prints, by concurrent calls (org.freedesktop.machine1(5), "Machine
// Objects").
import { formatAddress } from "../../base/ip-address.ts";
import { type ProcessTree, processTree, type UnitProcess } from "../format/process-tree.ts";
import { orNull, reasonOf } from "../session/failure.ts";
import type { Properties } from "../session/object-properties.ts";
import type { Session } from "../session/session.ts";
import { unitProcesses } from "../unit/processes.ts";
import { machineProperties } from "./properties.ts";

/** A process with its name; null if the name cannot be read. */
export interface NamedProcess {
  readonly pid: number;
  readonly name: string | null;
}

interface NamedInterface {
  readonly index: number;
  readonly name: string | null;
}

/** The properties of the machine's D-Bus object. */
export interface MachineFacts {
  readonly name: string;
  /** 32 hex digits, or empty. */
  readonly id: string;
  readonly class: string;
  readonly service: string;
  readonly unit: string;
  readonly subgroup: string;
  readonly state: string;
  readonly rootDirectory: string;
  readonly sinceUsec: bigint;
  readonly sinceMonotonicUsec: bigint;
  readonly uid: number;
  readonly leaderPid: number;
  readonly supervisorPid: number;
  /** The inode numbers of their pidfds; 0 where the manager does not report them. */
  readonly leaderPidfdId: bigint;
  readonly supervisorPidfdId: bigint;
  readonly interfaceIndices: readonly number[];
}

/** The facts, and the data from further calls. */
export interface MachineDetails extends MachineFacts {
  readonly leader: NamedProcess | null;
  readonly supervisor: NamedProcess | null;
  readonly interfaces: readonly NamedInterface[];
  readonly addresses: readonly { readonly text: string; readonly isIpv6: boolean }[];
  /** Null if the manager refuses the call. */
  readonly osRelease: ReadonlyMap<string, string> | null;
  /** Null if the manager refuses the call. */
  readonly uidShift: number | null;
  readonly processes: ProcessTree | null;
  readonly elsewhere: readonly UnitProcess[];
  /** The reason why the processes could not be listed; null if they could. */
  readonly processFailure: string | null;
}

/** AF_INET6. */
const IPV6 = 10;

/** Reads typed values from a property map. A property that is missing or has another type reads as empty or 0. */
class Reader {
  readonly #properties: Properties;

  constructor(properties: Properties) {
    this.#properties = properties;
  }

  text(name: string): string {
    const value = this.#properties.get(name)?.value;
    return typeof value === "string" ? value : "";
  }

  number(name: string): number {
    const value = this.#properties.get(name)?.value;
    return typeof value === "number" ? value : 0;
  }

  bigint(name: string): bigint {
    const value = this.#properties.get(name)?.value;
    return typeof value === "bigint" ? value : 0n;
  }

  numbers(name: string): number[] {
    const value = this.#properties.get(name)?.value;
    return Array.isArray(value) ? value.map(Number) : [];
  }

  id(name: string): string {
    const value = this.#properties.get(name)?.value;
    if (!(value instanceof Uint8Array) || value.every((byte) => byte === 0)) return "";
    return Buffer.from(value).toString("hex");
  }
}

async function addressesOf(session: Session, name: string): Promise<MachineDetails["addresses"]> {
  const reply = await orNull(session.manager("GetMachineAddresses", { name }));
  return (reply?.addresses ?? []).map(([family, bytes]) => ({ text: formatAddress(bytes), isIpv6: family === IPV6 }));
}

/** With -H and -M, the process of this host with that number is another one, unless its pidfd has the same id. */
async function namedProcess({ ports, settings }: Session, pid: number, id: bigint): Promise<NamedProcess | null> {
  if (pid <= 0) return null;
  const isElsewhere = settings.transport.kind !== "local" && id !== 0n;
  return { pid, name: await ports.processName(pid, isElsewhere ? id : null) };
}

async function processesOf(session: Session, { unit, subgroup, leaderPid }: MachineFacts) {
  const none = { processes: null, elsewhere: [], processFailure: null };
  if (unit === "") return none;
  try {
    const found = await unitProcesses(session, unit, leaderPid);
    if (found === null) return none;
    const inSubgroup = subgroup !== "" && subgroup !== "/";
    const top = inSubgroup ? `${found.cgroup}/${subgroup}` : found.cgroup;
    const { root, elsewhere } = processTree(found.list, top);
    // With a subgroup the rest of the unit is the supervisor, which is not part of the machine.
    return { processes: root, elsewhere: inSubgroup ? [] : elsewhere, processFailure: null };
  } catch (error) {
    return { ...none, processFailure: reasonOf(error) };
  }
}

/** Returns the facts about the machine of that name. Throws a Failure if the manager does not know it. */
export async function machineFacts(session: Session, wantedName: string): Promise<MachineFacts> {
  const read = new Reader(await machineProperties(session, wantedName));
  return {
    name: read.text("Name") || wantedName,
    id: read.id("Id"),
    class: read.text("Class"),
    service: read.text("Service"),
    unit: read.text("Unit"),
    subgroup: read.text("Subgroup"),
    state: read.text("State"),
    rootDirectory: read.text("RootDirectory"),
    sinceUsec: read.bigint("Timestamp"),
    sinceMonotonicUsec: read.bigint("TimestampMonotonic"),
    uid: read.number("UID"),
    leaderPid: read.number("Leader"),
    supervisorPid: read.number("Supervisor"),
    leaderPidfdId: read.bigint("LeaderPIDFDId"),
    supervisorPidfdId: read.bigint("SupervisorPIDFDId"),
    interfaceIndices: read.numbers("NetworkInterfaces"),
  };
}

/** Collects the details of a machine. Details whose query fails are null or empty. */
export async function machineDetails(session: Session, facts: MachineFacts): Promise<MachineDetails> {
  const { name, interfaceIndices } = facts;
  const [addresses, os, shift, leader, supervisor, processes, interfaces] = await Promise.all([
    addressesOf(session, name),
    orNull(session.manager("GetMachineOSRelease", { name })),
    orNull(session.manager("GetMachineUIDShift", { name })),
    namedProcess(session, facts.leaderPid, facts.leaderPidfdId),
    namedProcess(session, facts.supervisorPid, facts.supervisorPidfdId),
    processesOf(session, facts),
    Promise.all(interfaceIndices.map(async (index) => ({ index, name: await session.ports.interfaceName(index) }))),
  ]);
  return {
    ...facts,
    leader,
    supervisor,
    interfaces,
    addresses,
    osRelease: os?.fields ?? null,
    uidShift: shift?.shift ?? null,
    ...processes,
  };
}
