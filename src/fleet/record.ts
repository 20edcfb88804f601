// The records of machines and hosts in the buckets. Whoever reads one trusts only the fields that are checked here: they
// were written by another host.
import { isIP } from "node:net";
import { INBOX, nameOf } from "./names.ts";

/** A machine as `machinectl list --json` has it, with its host and when that was so. */
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

/** A host: it is there as long as its agent writes this. */
export interface HostRecord {
  readonly host: string;
  readonly bootId: string;
  /** The version of the agent. */
  readonly agent: string;
  /** When the agent began to write over its present connection, µs since 1970: older records of machines are left over. */
  readonly since: number;
  readonly machines: number;
  /** The names of these machines, by which their records can be read one by one; null where they are too many for a record. */
  readonly names: readonly string[] | null;
  /** What the host allows: names of scopes. */
  readonly allow: readonly string[];
  /** Microseconds since 1970. */
  readonly time: number;
}

/** A record with more addresses is not needed by anybody, and records have a limit. */
const MOST_ADDRESSES = 64;
/** Bytes of a record, which the buckets enforce. */
export const MOST_RECORD_BYTES = 8192;

/** More names, each with its quotation marks and comma, do not fit in a record. Each is a question to the server. */
const MOST_NAMES = MOST_RECORD_BYTES / 4;

/** The text of a machine's record. */
export function machineText(record: MachineRecord): string {
  const { addresses, ...rest } = record;
  return JSON.stringify({ ...rest, addresses: addresses.slice(0, MOST_ADDRESSES).join("\n") });
}

/** The text of a host's record. Names that would make it too long are left out. */
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

function number(fields: Fields, key: string): number {
  const value = fields[key];
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}

/**
 * Reads the record of the key `HOST.MACHINE`; null for no record. The key and the record must name the same: who may make consumers
 * can have the server deliver other messages to any subject, keys included.
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
    class: text(fields, "class"),
    service: text(fields, "service"),
    os: text(fields, "os"),
    version: text(fields, "version"),
    // Other programs connect to them, by the inventories.
    addresses: addresses.split("\n").filter((address) => isIP(address) !== 0),
    time: number(fields, "time"),
  };
}

/** The members of an array that are texts; null for anything else. */
function texts(value: unknown): string[] | null {
  return Array.isArray(value) ? value.filter((one: unknown) => typeof one === "string") : null;
}

/** Reads the record of the key `HOST`; null for no record. */
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
 * Reads an event of the subject of a host's token; null for none. The host must be that of the subject, which agents of others may
 * not publish to. Members that are objects or arrays, which no event has, are left out.
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

/** The machines whose hosts are there, and which their agents have written since they are. */
export function livingMachines(machines: readonly MachineRecord[], hosts: readonly HostRecord[]): MachineRecord[] {
  const since = new Map(hosts.map((one) => [one.host, one.since]));
  return machines.filter(({ host, time }) => time >= (since.get(host) ?? Number.POSITIVE_INFINITY));
}

/** Whether an agent may answer there: only to inboxes, never to the subject of a request, a record or an event. */
export function isInbox(subject: string | undefined): subject is string {
  return subject !== undefined && /^_INBOX[A-Za-z0-9_-]*\./.test(subject) && subject.startsWith(INBOX);
}
