// Varlink rows → actions: argument mapping only (io.systemd.Machine).
import { readFileSync } from "node:fs";
import { IoSystemdMachine } from "../../api/io-systemd-machine.ts";
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { formatId, parseId } from "../../base/id128.ts";
import { plainInteger } from "../../base/json.ts";
import { isMachineNameOrHost } from "../../base/names.ts";
import { type BoundVarlink, Reply, type VarlinkCall } from "../../ipc/varlink/server.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { type Machine, VSOCK_CID_ANY } from "../../registry/machine/machine.ts";
import { defineAction, perform } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { osRelease } from "../inside/os-release.ts";
import { openVarlinkHandlers } from "../inside/varlink-bindings.ts";
import { inspection, mapFrom, mapTo, uidShift } from "./inspect.ts";
import { kill, terminate, unregister } from "./lifecycle.ts";
import { beginMachine, type Registration, registerMachine } from "./register.ts";

type ProcessId = number | string | { readonly pid: number | string; readonly pidfdId?: number | bigint | string };

interface Lookup {
  readonly name?: string;
  readonly pid?: ProcessId;
}

/** Binds io.systemd.Machine to the daemon. */
export function machineVarlink(daemon: Daemon): BoundVarlink {
  return {
    table: IoSystemdMachine,
    handlers: {
      Register: async (call, p: RegisterParameters) => {
        const registration = registrationOf(p);
        if (p.allocateUnit !== true) await registerMachine(daemon, call, registration);
        else void (await beginMachine(daemon, call, registration, [])).finished.catch(() => {});
      },
      Unregister: async (call, p: Lookup) => perform(daemon, call, unregister, { name: await nameOf(daemon, call, p) }),
      Terminate: async (call, p: Lookup) => perform(daemon, call, terminate, { name: await nameOf(daemon, call, p) }),
      Kill: async (call, p: Lookup & { whom?: string; signal: number | string }) =>
        perform(daemon, call, kill, {
          name: await nameOf(daemon, call, p),
          whom: p.whom ?? "all",
          signal: Number(p.signal),
        }),
      List: (call, p: ListParameters) => list(daemon, call, p),
      ...openVarlinkHandlers(daemon, (call, lookup) => nameOf(daemon, call, lookup)),
      MapFrom: async (call, p: Lookup & Ids) => {
        const name = await nameOf(daemon, call, p);
        if (daemon.registry.get(name).class !== "container") throw new MachinedError("NotSupported", "No container");
        const map = (kind: "uid" | "gid", id: number | string | undefined) =>
          id === undefined ? undefined : noMapping(kind, () => mapFrom(daemon, name, kind, Number(id)));
        return { uid: map("uid", p.uid), gid: map("gid", p.gid) };
      },
      MapTo: (_call, p: Ids) => {
        if (p.uid === undefined && p.gid === undefined) throw noSuchMachine();
        const uid = p.uid === undefined ? null : mapTo(daemon, "uid", Number(p.uid));
        const gid = p.gid === undefined ? null : mapTo(daemon, "gid", Number(p.gid));
        if (uid !== null && gid !== null && uid.machine !== gid.machine) throw noSuchMachine();
        return { uid: uid?.inner, gid: gid?.inner, machineName: (uid ?? gid)?.machine.name };
      },
    },
  };
}

interface Ids {
  readonly uid?: number | string;
  readonly gid?: number | string;
}

/** D-Bus answers NoSuchUserMapping for groups too; Varlink tells them apart. */
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

function pidOf(id: ProcessId): number {
  const pid = Number(typeof id === "object" ? id.pid : id);
  if (!Number.isInteger(pid) || pid < 0 || pid > 0x7fff_ffff) throw invalidArgument("pid", "Invalid process");
  return pid;
}

/** The machine's name that a call means; without name and pid, null. Both given must be of the same machine. */
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

/** The machine of a process that is pinned while it is looked for; null for one that is gone. */
function machineOf(daemon: Daemon, open: () => PidRef): Machine | null {
  try {
    using process = open();
    return process.verified(() => daemon.registry.findByProcess(process.pid));
  } catch (error) {
    if (errnoNameOf(error) === "ESRCH") return null;
    throw error;
  }
}

/** The process that an id means; ESRCH when its number belongs to another one by now. */
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

interface RegisterParameters {
  readonly name: string;
  readonly id?: string;
  readonly service?: string;
  readonly class: string;
  readonly leader?: number | string;
  readonly leaderProcessId?: ProcessId;
  readonly rootDirectory?: string;
  readonly ifIndices?: readonly (number | string)[];
  readonly vSockCid?: number | string;
  readonly sshAddress?: string;
  readonly sshPrivateKeyPath?: string;
  readonly controlAddress?: string;
  readonly allocateUnit?: boolean;
}

function registrationOf(p: RegisterParameters): Registration {
  const id = p.id === undefined ? null : parseId(p.id);
  if (id === undefined) throw invalidArgument("id", "Invalid machine ID parameter");
  return {
    name: p.name,
    id: id ?? new Uint8Array(0),
    service: p.service ?? "",
    class: p.class,
    leader: leaderOf(p),
    rootDirectory: p.rootDirectory ?? "",
    networkInterfaces: (p.ifIndices ?? []).map(Number),
    vsockCid: p.vSockCid === undefined ? VSOCK_CID_ANY : Number(p.vSockCid),
    sshAddress: p.sshAddress ?? "",
    sshPrivateKeyPath: p.sshPrivateKeyPath ?? "",
    controlAddress: p.controlAddress ?? "",
  };
}

/** Both ways of naming the leader must agree; none means the caller. */
function leaderOf({ leader, leaderProcessId }: RegisterParameters): Registration["leader"] {
  const byNumber = leader === undefined ? undefined : pidOf(leader);
  if (leaderProcessId === undefined) return { pid: byNumber ?? 0 };
  const pid = pidOf(leaderProcessId);
  if (byNumber !== undefined && byNumber !== pid) throw invalidArgument("leader", "Invalid leader PID");
  const id = typeof leaderProcessId === "object" ? leaderProcessId.pidfdId : undefined;
  return { pid, pidfdId: id === undefined ? undefined : BigInt(id) };
}

type Metadata = "no" | "yes" | "graceful";

interface ListParameters extends Lookup {
  readonly acquireMetadata?: Metadata;
}

async function list(daemon: Daemon, call: VarlinkCall, p: ListParameters): Promise<object> {
  const metadata = p.acquireMetadata ?? "no";
  return perform(daemon, call, describeMachines, { name: await lookUp(daemon, call, p), metadata, more: call.more });
}

/** One machine, or all; what has to be asked of the machines themselves needs permission. */
const describeMachines = defineAction({
  prepare(daemon, { name, metadata }: { name: string | null; metadata: Metadata; more: boolean }) {
    const subject = name === null ? null : daemon.registry.get(name);
    if (metadata === "no") return { subject };
    return { subject, permission: inspection(daemon, name === null ? {} : { name }) };
  },
  run: (daemon, { subject }, { metadata, more }) =>
    subject === null ? describeAll(daemon, metadata, more) : describeMachine(daemon, subject, metadata),
});

async function describeAll(daemon: Daemon, metadata: Metadata, more: boolean): Promise<object> {
  if (!more) throw new MachinedError("ExpectedMore", "Expected the 'more' flag");
  const machines = Array.from(daemon.registry.list());
  if (machines.length === 0) throw noSuchMachine();
  return {
    [Reply.many]: await sideBySide(machines.map((machine) => () => describeMachine(daemon, machine, metadata))),
  };
}

/** Machines that hang are asked at the same time: all of them take no longer than one. */
function sideBySide(asks: readonly (() => object | Promise<object>)[]): readonly object[] | Promise<readonly object[]> {
  const rows: (object | Promise<object>)[] = [];
  try {
    for (const ask of asks) rows.push(ask());
  } catch (error) {
    void Promise.allSettled(rows);
    throw error;
  }
  // A thousand machines that need not be asked are no promises.
  return rows.some((row) => row instanceof Promise) ? Promise.all(rows) : rows;
}

let boot: string | null = null;

function bootId(): string {
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim().replaceAll("-", "");
  return boot;
}

function processRow(process: PidRef | null): object | undefined {
  if (process === null) return undefined;
  return { pid: process.pid, pidfdId: process.id === null ? undefined : plainInteger(process.id), bootId: bootId() };
}

function timestampRow({ realtimeUsec, monotonicUsec }: NonNullable<Machine["startedAt"]>): object {
  return { realtime: plainInteger(realtimeUsec), monotonic: plainInteger(monotonicUsec) };
}

function describeMachine(daemon: Daemon, machine: Machine, metadata: Metadata): object | Promise<object> {
  if (metadata === "no") return rowOf(machine, {});
  const asked = metadataOf(daemon, machine, metadata);
  return asked instanceof Promise ? asked.then((known) => rowOf(machine, known)) : rowOf(machine, asked);
}

function rowOf(machine: Machine, known: object): object {
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
 * What has to be asked of the machine itself. "graceful" leaves out what cannot be had; "yes" fails. Only where a worker has
 * to ask the machine's file systems does it take any waiting: a thousand machines are a thousand promises otherwise.
 */
function metadataOf(daemon: Daemon, machine: Machine, metadata: "yes" | "graceful"): object | Promise<object> {
  const refuse = (error: unknown, [code, text]: typeof NO_UID_SHIFT | typeof NOT_AVAILABLE): undefined => {
    const isExpected = error instanceof MachinedError || errnoNameOf(error) !== null;
    if (metadata === "graceful" && isExpected) return undefined;
    throw error instanceof MachinedError && error.code === "NotSupported" ? new MachinedError(code, text) : error;
  };
  const ask = <Value>(read: () => Value, missing: Parameters<typeof refuse>[1]): Value | undefined => {
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

/** By the fields: machines of one image share them. */
const linesOfRelease = new WeakMap<ReadonlyMap<string, string>, readonly string[]>();

function releaseLines(release: ReadonlyMap<string, string>): readonly string[] {
  const known = linesOfRelease.get(release);
  if (known !== undefined) return known;
  const lines = Array.from(release, ([key, value]) => `${key}=${value}`);
  linesOfRelease.set(release, lines);
  return lines;
}

function addressRows(daemon: Daemon, machine: Machine): object[] {
  return daemon.addresses.of(machine).map(({ ifindex, family, bytes }) => ({ ifindex, family, address: [...bytes] }));
}
