// What hosts and machines are called in NATS: tokens of subjects, and keys of buckets. Only names that were checked get there.
import { isMachineName } from "../base/names.ts";

/** The bucket of machines: a key `HOST.MACHINE` for each. */
export const MACHINES_BUCKET = "machined_machines";
/** The bucket of hosts: a key `HOST` for each. */
export const HOSTS_BUCKET = "machined_hosts";
/** The stream of events: subjects `machined.events.HOST.TYPE`. */
export const EVENTS_STREAM = "machined_events";

/** What begins the reply subjects that agents answer to, and so the inboxes of all their callers. */
export const INBOX = "_INBOX";

/** The token of subjects that stands where hosts have theirs: no host can be called so. */
const EVENTS_TOKEN = "events";

/** What may be done on a host; each has a prefix of subjects of its own, by which NATS decides who may. */
export const SCOPES = ["read", "lifecycle", "exec"] as const;
export type Scope = (typeof SCOPES)[number];

/**
 * The token of a name. Host names and machine names are letters, digits, hyphens and dots; a dot, which separates tokens, is written
 * as `_`, which no name has. Null for what is no such name.
 */
export function tokenOf(name: string): string | null {
  return isMachineName(name) ? name.replaceAll(".", "_") : null;
}

/** The name of a token; null for what is no token of a name. */
export function nameOf(token: string): string | null {
  const name = token.replaceAll("_", ".");
  return tokenOf(name) === token ? name : null;
}

/** What names a host can have, in words. */
export const HOST_RULE = `letters, digits, '-' and dots, at most 64, and not '${EVENTS_TOKEN}'`;

/** Whether a host can be called so: as a machine, but not `events`. */
export function isFleetHost(name: string): boolean {
  return isMachineName(name) && name !== EVENTS_TOKEN;
}

function checkedToken(name: string): string {
  const token = tokenOf(name);
  if (token === null) throw new TypeError(`'${name}' is no name of a host or machine`);
  return token;
}

/** The subject that writes a record. Throws a TypeError for what is no name. */
export function recordSubject(host: string, machine: string | null): string {
  const token = checkedToken(host);
  return machine === null ? `$KV.${HOSTS_BUCKET}.${token}` : `$KV.${MACHINES_BUCKET}.${token}.${checkedToken(machine)}`;
}

/** The subject of an event. Throws a TypeError for what is no name, and for a type that is no word. */
export function eventSubject(host: string, type: string): string {
  if (!/^[a-z]+$/.test(type)) throw new TypeError(`'${type}' is no type of events`);
  return `machined.${EVENTS_TOKEN}.${checkedToken(host)}.${type}`;
}

/** The subject of all events of a host, or of all hosts. */
export function eventsSubject(host: string | null): string {
  return `machined.${EVENTS_TOKEN}.${host === null ? "*" : checkedToken(host)}.*`;
}

/** The subject of a request. Throws a TypeError for what is no name of a host. */
export function requestSubject(host: string, scope: Scope, verb: string): string {
  if (!isFleetHost(host)) throw new TypeError(`'${host}' is no name of a host`);
  return `machined.${checkedToken(host)}.${scope}.${verb}`;
}
