// The records of machines and hosts in the buckets. They were written by other hosts: readers use only the fields that
// are checked here.
import { isIP } from "node:net";
import { INBOX, nameOf } from "./names.ts";

/** A machine: the fields of `machinectl list --json`, its host, and the time of the record. */
export interface MachineRecord {
  readonly host: string;
  readonly machine: string;
  readonly class: string;
  readonly service: string;
  readonly os: string;
  readonly version: string;
  readonly addresses: readonly string[];
  /** Microseconds since 1970. */
  readonly time: number;
}

/** A host. The record expires when its agent does not write it again. */
export interface HostRecord {
  readonly host: string;
  readonly bootId: string;
  /** The version of the agent. */
  readonly agent: string;
  /**
   * When the agent began to write over its present connection, µs since 1970. Older records of machines are out of
   * date.
   */
  readonly since: number;
  /** The number of machines whose records are in the bucket. */
  readonly machines: number;
  /** Their names, so that they can be read by key; null where they do not fit into a record. */
  readonly names: readonly string[] | null;
  /** The scopes that the host allows. */
  readonly allow: readonly string[];
  /** Microseconds since 1970. */
  readonly time: number;
}

/**
 * The limit of a text in a record, in characters. The os-release of a machine has them, and a table of all hosts is as
 * wide as the longest.
 */
const MOST_TEXT = 128;
/** The limit of addresses in a record, whose size is limited. */
const MOST_ADDRESSES = 64;
/** The limit of a record in bytes, which the buckets enforce. */
export const MOST_RECORD_BYTES = 8192;

/**
 * More names, each with its quotation marks and comma, do not fit in a record. Each name costs one request to the
 * server.
 */
const MOST_NAMES = MOST_RECORD_BYTES / 4;

/**
 * Returns the text of a machine's record. The machine itself writes its os-release: texts that do not fit into a record
 * are cut, so that it cannot be missing in the fleet.
 */
export function machineText(record: MachineRecord): string {
  const { os, version, addresses, ...rest } = record;
  const cut = { os: shortened(os), version: shortened(version) };
  return JSON.stringify({ ...rest, ...cut, addresses: addresses.slice(0, MOST_ADDRESSES).join("\n") });
}

/** Returns the text of a host's record, without the names where it would be too long with them. */
export function hostText(record: HostRecord): string {
  const text = JSON.stringify(record);
  return Buffer.byteLength(text) > MOST_RECORD_BYTES ? JSON.stringify({ ...record, names: null }) : text;
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(text: string): Fields | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : null;
  } catch {
    return null;
  }
}

function text(fields: Fields, key: string): string {
  const value = fields[key];
  return typeof value === "string" ? value : "";
}

function shortText(fields: Fields, key: string): string {
  return shortened(text(fields, key));
}

function shortened(whole: string): string {
  return whole.length <= MOST_TEXT ? whole : `${whole.slice(0, MOST_TEXT - 1)}…`;
}

function number(fields: Fields, key: string): number {
  const value = fields[key];
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

/**
 * Reads the record of the key `HOST.MACHINE`; returns null for an invalid one. The key and the record must name the
 * same machine: a user who may make consumers can have the server deliver messages to any subject, also to those of
 * keys.
 */
export function readMachine(key: string, value: string): MachineRecord | null {
  const [hostToken = "", machineToken = "", ...rest] = key.split(".");
  const [host, machine] = [nameOf(hostToken), nameOf(machineToken)];
  const fields = fieldsOf(value);
  if (host === null || machine === null || rest.length > 0 || fields === null) return null;
  if (fields["host"] !== host || fields["machine"] !== machine) return null;
  const addresses = text(fields, "addresses");
  return {
    host,
    machine,
    class: shortText(fields, "class"),
    service: shortText(fields, "service"),
    os: shortText(fields, "os"),
    version: shortText(fields, "version"),
    // Other programs connect to them, by the inventories.
    addresses: addresses.split("\n").filter((address) => isIP(address) !== 0),
    time: number(fields, "time"),
  };
}

/** Returns the strings in an array; null for any other value. */
function texts(value: unknown): string[] | null {
  return Array.isArray(value) ? value.filter((one: unknown) => typeof one === "string") : null;
}

/** Reads the record of the key `HOST`; returns null for an invalid one. */
export function readHost(key: string, value: string): HostRecord | null {
  const host = nameOf(key);
  const fields = fieldsOf(value);
  if (host === null || fields === null || fields["host"] !== host) return null;
  const allow = texts(fields["allow"]);
  if (allow === null) return null;
  const names = texts(fields["names"]);
  return {
    ...{ host, bootId: text(fields, "bootId"), agent: text(fields, "agent"), machines: number(fields, "machines") },
    since: number(fields, "since"),
    names: names !== null && names.length <= MOST_NAMES ? names : null,
    allow,
    time: number(fields, "time"),
  };
}

/** An event: its members are texts, numbers and booleans. */
interface EventRecord extends Fields {
  readonly host: string;
  readonly type: string;
  readonly event: string;
  /** Microseconds since 1970. */
  readonly time: number;
}

/**
 * Reads an event of the subject of a host's token; returns null for an invalid one. The host must be that of the
 * subject, to which agents of other hosts may not publish. Members that are objects or arrays, which no event has, are
 * left out.
 */
export function readEvent(token: string, value: string): EventRecord | null {
  const fields = fieldsOf(value);
  if (fields === null) return null;
  const { host, type, event, time } = fields;
  if (typeof host !== "string" || host !== nameOf(token) || typeof type !== "string" || typeof event !== "string")
    return null;
  if (typeof time !== "number") return null;
  const plain = Object.entries(fields).filter(([, member]) => typeof member !== "object");
  return Object.fromEntries(plain) as unknown as EventRecord;
}

/**
 * Returns the machines whose hosts have a record, and whose own records were written over the present connection of the
 * agent.
 */
export function livingMachines(machines: readonly MachineRecord[], hosts: readonly HostRecord[]): MachineRecord[] {
  const since = new Map(hosts.map((one) => [one.host, one.since]));
  return machines.filter(({ host, time }) => time >= (since.get(host) ?? Number.POSITIVE_INFINITY));
}

/**
 * Returns the hosts whose machines are not all among the living ones, with the number of those that are missing. A
 * server of a cluster that lags behind the others sends older records, and a host that has crashed leaves what it had
 * begun to write.
 */
export function missingMachines(
  living: readonly MachineRecord[],
  hosts: readonly HostRecord[],
): { host: string; missing: number }[] {
  const found = Map.groupBy(living, ({ host }) => host);
  return hosts.flatMap(({ host, machines, names }) => {
    const own = found.get(host) ?? [];
    if (names === null) return machines > own.length ? [{ host, missing: machines - own.length }] : [];
    const present = new Set(own.map(({ machine }) => machine));
    const { size } = new Set(names).difference(present);
    return size > 0 ? [{ host, missing: size }] : [];
  });
}

/**
 * Whether an agent may send an answer to the subject: it must be an inbox, never the subject of a request, a record or
 * an event.
 */
export function isInbox(subject: string | undefined): subject is string {
  return subject !== undefined && /^_INBOX[A-Za-z0-9_-]*\./.test(subject) && subject.startsWith(INBOX);
}
