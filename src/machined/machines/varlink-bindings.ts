// Binds the methods of io.systemd.Machine and io.machined.Machine to actions: mapping of arguments only.
import { readFileSync } from "node:fs";
import { IoMachinedMachine } from "../../api/varlink/io-machined-machine.ts";
import { IoSystemdMachine } from "../../api/varlink/io-systemd-machine.ts";
import type { ReceivedInteger, VarlinkParameters, VarlinkResult, VarlinkValue } from "../../api/varlink-table.ts";
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { formatId } from "../../base/id128.ts";
import { isMachineNameOrHost } from "../../base/names.ts";
import { plainInteger } from "../../base/text/json.ts";
import { type BoundVarlink, bindVarlink, Reply, type VarlinkCall } from "../../ipc/varlink/binding.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { VSOCK_CID_ANY } from "../../registry/machine/description.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { defineAction, perform } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { osRelease } from "../inside/os-release.ts";
import { openVarlinkHandlers } from "../inside/varlink-bindings.ts";
import { mapFrom, mapTo, uidShift } from "./inspect.ts";
import { kill, terminate, unregister } from "./lifecycle.ts";
import { beginMachine, registerMachine, registerWithoutUnit } from "./register.ts";
import { fromVarlink, pidOf } from "./registration.ts";

type Table = typeof IoSystemdMachine;
type Parameters<Member extends keyof Table["methods"]> = VarlinkParameters<Table, Member>;
type Lookup = Parameters<"Terminate">;
type ProcessId = NonNullable<Lookup["pid"]>;
type Metadata = VarlinkValue<Table, "AcquireMetadata">;
type Description = VarlinkResult<Table, "List">;
type Metadatas = Partial<Pick<Description, "addresses" | "OSRelease" | "UIDShift">>;

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
      const map = (kind: "uid" | "gid", id: ReceivedInteger | undefined) =>
        id === undefined ? undefined : noMapping(kind, () => mapFrom(daemon, name, kind, Number(id)));
      return { uid: map("uid", p.uid), gid: map("gid", p.gid) };
    },
    MapTo: (_call, p) => {
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

/** Calls `map`. Over D-Bus a missing group mapping is NoSuchUserMapping too; over Varlink it has an error of its own. */
function noMapping(kind: "uid" | "gid", map: () => number): number {
  try {
    return map();
  } catch (error) {
    if (kind !== "gid" || !(error instanceof MachinedError) || error.code !== "NoSuchUserMapping") throw error;
    throw new MachinedError("NoSuchGroupMapping", error.message);
  }
}

function noSuchMachine(): MachinedError {
  return new MachinedError("NoSuchMachine", "No such machine");
}

/** Returns the name of the machine that a call means; null without name and pid. Both must mean the same machine. */
async function lookUp(daemon: Daemon, call: VarlinkCall, { name, pid }: Lookup): Promise<string | null> {
  if (name !== undefined && !isMachineNameOrHost(name)) throw invalidArgument("name", "Invalid machine name");
  if (pid === undefined) {
    if (name !== undefined && daemon.registry.find(name) === null) throw noSuchMachine();
    return name ?? null;
  }
  const caller = await call.caller();
  const machine = machineOf(daemon, () => (pidOf(pid) === 0 ? caller.openProcess() : processOf(pid)));
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
  const process = PidRef.of(pidOf(id));
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

interface Descriptions {
  readonly [Reply.many]: readonly Description[];
}

async function list(daemon: Daemon, call: VarlinkCall, p: Parameters<"List">): Promise<Description | Descriptions> {
  const metadata = p.acquireMetadata ?? "no";
  return perform(daemon, call, describeMachines, { name: await lookUp(daemon, call, p), metadata, more: call.more });
}

/** Describes one machine, or all. Metadata is read from the machines themselves and needs permission. */
const describeMachines = defineAction({
  prepare(daemon, { name, metadata }: { name: string | null; metadata: Metadata; more: boolean }) {
    const subject = name === null ? null : daemon.registry.get(name);
    if (metadata === "no") return { subject };
    return { subject, grant: name === null ? {} : { subject: name } };
  },
  run: (daemon, { subject }, { metadata, more }): Description | Promise<Description | Descriptions> =>
    subject === null ? describeAll(daemon, metadata, more) : describeMachine(daemon, subject, metadata),
});

async function describeAll(daemon: Daemon, metadata: Metadata, more: boolean): Promise<Descriptions> {
  if (!more) throw new MachinedError("ExpectedMore", "Expected the 'more' flag");
  const machines = Array.from(daemon.registry.list());
  if (machines.length === 0) throw noSuchMachine();
  return {
    [Reply.many]: await sideBySide(machines.map((machine) => () => describeMachine(daemon, machine, metadata))),
  };
}

/** Runs all at the same time, so that several machines that do not answer take no longer than one. */
function sideBySide(
  asks: readonly (() => Description | Promise<Description>)[],
): readonly Description[] | Promise<readonly Description[]> {
  const rows: (Description | Promise<Description>)[] = [];
  try {
    for (const ask of asks) rows.push(ask());
  } catch (error) {
    void Promise.allSettled(rows);
    throw error;
  }
  // Rows without metadata are no promises: a thousand of them must not cost a thousand promises.
  return rows.some((row) => row instanceof Promise) ? Promise.all(rows) : (rows as Description[]);
}

let boot: string | null = null;

function bootId(): string {
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim().replaceAll("-", "");
  return boot;
}

function processRow(process: PidRef | null): VarlinkValue<Table, "ProcessId"> | undefined {
  if (process === null) return undefined;
  return { pid: process.pid, pidfdId: process.id === null ? undefined : plainInteger(process.id), bootId: bootId() };
}

function timestampRow({
  realtimeUsec,
  monotonicUsec,
}: NonNullable<Machine["startedAt"]>): VarlinkValue<Table, "Timestamp"> {
  return { realtime: plainInteger(realtimeUsec), monotonic: plainInteger(monotonicUsec) };
}

function describeMachine(daemon: Daemon, machine: Machine, metadata: Metadata): Description | Promise<Description> {
  if (metadata === "no") return rowOf(machine, {});
  const asked = metadataOf(daemon, machine, metadata);
  return asked instanceof Promise ? asked.then((known) => rowOf(machine, known)) : rowOf(machine, asked);
}

function rowOf(machine: Machine, known: Metadatas): Description {
  const { facts, place, startedAt } = machine;
  return {
    name: facts.name,
    id: facts.id === null ? undefined : formatId(facts.id),
    class: facts.class,
    service: facts.service || undefined,
    rootDirectory: facts.rootDirectory || undefined,
    unit: place?.unit,
    subgroup: place?.subgroup || undefined,
    leader: processRow(facts.leader),
    supervisor: processRow(facts.supervisor),
    timestamp: startedAt === null ? undefined : timestampRow(startedAt),
    vSockCid: facts.vsockCid === VSOCK_CID_ANY ? undefined : facts.vsockCid,
    sshAddress: facts.sshAddress || undefined,
    sshPrivateKeyPath: facts.sshPrivateKeyPath || undefined,
    controlAddress: facts.controlAddress || undefined,
    ...known,
    UID: facts.uid,
  };
}

const NO_UID_SHIFT = ["NoUIDShift", "No UID shift"] as const;
const NOT_AVAILABLE = ["NotAvailable", "Not available for this class of machines"] as const;

/**
 * Reads the metadata in the machine itself. With "graceful", what cannot be read is left out; with "yes" it throws. Returns a
 * promise only where a worker reads a file of the machine, so that a list of a thousand machines is not as many promises.
 */
function metadataOf(daemon: Daemon, machine: Machine, metadata: "yes" | "graceful"): Metadatas | Promise<Metadatas> {
  const refuse = (error: unknown, [code, text]: typeof NO_UID_SHIFT | typeof NOT_AVAILABLE): undefined => {
    const isExpected = error instanceof MachinedError || errnoNameOf(error) !== null;
    if (metadata === "graceful" && isExpected) return undefined;
    throw error instanceof MachinedError && error.code === "NotSupported" ? new MachinedError(code, text) : error;
  };
  const ask = <Value>(read: () => Value, missing: typeof NO_UID_SHIFT | typeof NOT_AVAILABLE): Value | undefined => {
    try {
      return read();
    } catch (error) {
      return refuse(error, missing);
    }
  };
  const addresses = ask(() => addressRows(daemon, machine), NOT_AVAILABLE);
  const withRelease = (release: ReadonlyMap<string, string> | undefined) => ({
    addresses,
    OSRelease: release === undefined ? undefined : releaseLines(release),
    UIDShift: ask(() => uidShift(machine), NO_UID_SHIFT),
  });
  const release = ask(() => osRelease(daemon, machine), NOT_AVAILABLE);
  if (!(release instanceof Promise)) return withRelease(release);
  return release.catch((error) => refuse(error, NOT_AVAILABLE)).then(withRelease);
}

/** Lines by the fields that they were made of: machines of one image share both. */
const linesOfRelease = new WeakMap<ReadonlyMap<string, string>, readonly string[]>();

function releaseLines(release: ReadonlyMap<string, string>): readonly string[] {
  const known = linesOfRelease.get(release);
  if (known !== undefined) return known;
  const lines = Array.from(release, ([key, value]) => `${key}=${value}`);
  linesOfRelease.set(release, lines);
  return lines;
}

function addressRows(daemon: Daemon, machine: Machine): VarlinkValue<Table, "Address">[] {
  return daemon.addresses.of(machine).map(({ ifindex, family, bytes }) => ({ ifindex, family, address: [...bytes] }));
}
