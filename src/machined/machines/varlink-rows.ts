// Machines as rows of io.systemd.Machine.List.
import type { IoSystemdMachine } from "../../api/varlink/io-systemd-machine.ts";
import type { VarlinkResult, VarlinkValue } from "../../api/varlink-table.ts";
import { errnoNameOf, MachinedError } from "../../base/error.ts";
import { formatId } from "../../base/id128.ts";
import { plainInteger } from "../../base/text/json.ts";
import { Turns } from "../../base/turns.ts";
import { collectAmong } from "../../daemon/garbage-collection.ts";
import { Reply } from "../../ipc/varlink/binding.ts";
import { type Fd, hasFreeDescriptors } from "../../kernel/file/fd.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import { VSOCK_CID_ANY } from "../../registry/machine/description.ts";
import { noSuchMachine } from "../../registry/machine/errors.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { defineAction } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { MachineRoots } from "../inside/open-in-machine.ts";
import { osRelease } from "../inside/os-release.ts";
import { bootId } from "./boot-id.ts";
import { uidShift } from "./inspect.ts";

type Table = typeof IoSystemdMachine;
type Metadata = VarlinkValue<Table, "AcquireMetadata">;
type Metadatas = Partial<Pick<Description, "addresses" | "OSRelease" | "UIDShift">>;

/** A machine as a row. */
export type Description = VarlinkResult<Table, "List">;

/** All machines, a reply for each. */
export interface Descriptions {
  readonly [Reply.many]: readonly Description[];
}

/** Describes one machine, or all. Metadata is read from the machines themselves and needs permission. */
export const describeMachines = defineAction({
  prepare(daemon, { name, metadata }: { name: string | null; metadata: Metadata; more: boolean }) {
    const subject = name === null ? null : daemon.registry.get(name);
    if (metadata === "no") return { subject };
    return { subject, grant: name === null ? {} : { subject: name } };
  },
  run: (daemon, { subject }, { metadata, more }): Description | Promise<Description | Descriptions> =>
    subject === null ? describeAll(daemon, metadata, more) : describeMachine(daemon, subject, metadata),
});

/** How long machines are described before other callers have their turn. */
const SLICE_MS = 4;
/** The root directories of so many machines are opened at the same time. */
const ROOTS_AT_ONCE = 16;
/** How many descriptors must be free for that: others need some meanwhile. */
const ROOTS_NEED = 64;

async function describeAll(daemon: Daemon, metadata: Metadata, more: boolean): Promise<Descriptions> {
  if (!more) throw new MachinedError("ExpectedMore", "Expected the 'more' flag");
  const machines = Array.from(daemon.registry.list());
  if (machines.length === 0) throw noSuchMachine();
  if (metadata === "no") return { [Reply.many]: machines.map((machine) => rowOf(machine, {})) };
  const rows: (Description | Promise<Description>)[] = [];
  const turns = new Turns(SLICE_MS);
  const isPresent = (machine: Machine) => daemon.registry.find(machine.name) === machine;
  const areMany = machines.length >= ROOTS_AT_ONCE;
  const atOnce = areMany && hasFreeDescriptors(ROOTS_NEED) ? ROOTS_AT_ONCE : 1;
  for (let at = 0; at < machines.length; at += atOnce) {
    const some = machines.slice(at, at + atOnce).filter(isPresent);
    using roots = new MachineRoots(some);
    for (const machine of some) {
      // It may have been removed in an earlier turn.
      if (!isPresent(machine)) continue;
      const row = describeMachine(daemon, machine, metadata, () => roots.name(machine));
      rows.push(row);
      // Rows are awaited together, so that several machines that do not answer take no longer than one. Until then
      // their errors are not unhandled.
      if (row instanceof Promise) row.catch(() => {});
      // Without the condition, a thousand machines would be a thousand promises.
      if (turns.isOver) await turns.pass();
    }
    collectAmong(some.length);
  }
  if (rows.length === 0) throw noSuchMachine();
  return {
    [Reply.many]: rows.some((row) => row instanceof Promise) ? await Promise.all(rows) : (rows as Description[]),
  };
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

function describeMachine(
  daemon: Daemon,
  machine: Machine,
  metadata: Metadata,
  openRoot?: () => Fd,
): Description | Promise<Description> {
  if (metadata === "no") return rowOf(machine, {});
  const asked = metadataOf(daemon, machine, metadata, openRoot);
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
 * Reads the metadata in the machine itself. With "graceful", what cannot be read is left out; with "yes" it throws.
 * Returns a promise only where a worker reads a file of the machine, so that a list of a thousand machines is not as
 * many promises.
 */
function metadataOf(
  daemon: Daemon,
  machine: Machine,
  metadata: "yes" | "graceful",
  openRoot?: () => Fd,
): Metadatas | Promise<Metadatas> {
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
  const release = ask(() => osRelease(daemon, machine, openRoot), NOT_AVAILABLE);
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
