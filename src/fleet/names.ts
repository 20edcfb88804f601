// The names of hosts and machines in NATS: tokens of subjects, and keys of buckets. Only checked names are used in
// them.
import { isMachineName } from "../base/names.ts";

/** The bucket of machines: a key `HOST.MACHINE` for each. */
export const MACHINES_BUCKET = "machined_machines";
/** The bucket of hosts: a key `HOST` for each. */
export const HOSTS_BUCKET = "machined_hosts";
/** The stream of events: subjects `machined.events.HOST.TYPE`. */
export const EVENTS_STREAM = "machined_events";

/** The prefix of reply subjects that agents answer to; the inboxes of all callers begin with it. */
export const INBOX = "_INBOX";

/** The token of events in subjects. It is in the place of a host's token, so that no host can have this name. */
const EVENTS_TOKEN = "events";

/**
 * The classes of requests to a host. Each has its own prefix of subjects, for which the NATS server grants permissions.
 */
export const SCOPES = ["read", "lifecycle", "exec"] as const;
export type Scope = (typeof SCOPES)[number];

/**
 * Returns the token of a name, or null for a text that is no name of a host or machine. Names have letters, digits,
 * hyphens and dots; a dot, which separates tokens, is written as `_`, which no name has.
 */
export function tokenOf(name: string): string | null {
  return isMachineName(name) ? name.replaceAll(".", "_") : null;
}

/** Returns the name of a token; null for any other text. */
export function nameOf(token: string): string | null {
  const name = token.replaceAll("_", ".");
  return tokenOf(name) === token ? name : null;
}

/** The rule for names of hosts, for messages. */
export const HOST_RULE = `letters, digits, '-' and dots, at most 64, and not '${EVENTS_TOKEN}'`;

/** Whether a host can have the name: the rules are those of machines, and `events` is reserved. */
export function isFleetHost(name: string): boolean {
  return isMachineName(name) && name !== EVENTS_TOKEN;
}

function checkedToken(name: string): string {
  const token = tokenOf(name);
  if (token === null) throw new TypeError(`'${name}' is no name of a host or machine`);
  return token;
}

/** Returns the subject that writes a record. Throws a TypeError for an invalid name. */
export function recordSubject(host: string, machine: string | null): string {
  const token = checkedToken(host);
  return machine === null ? `$KV.${HOSTS_BUCKET}.${token}` : `$KV.${MACHINES_BUCKET}.${token}.${checkedToken(machine)}`;
}

/**
 * Returns the subject of an event. Throws a TypeError for an invalid name, and for a type that is not made of letters a
 * to z.
 */
export function eventSubject(host: string, type: string): string {
  if (!/^[a-z]+$/.test(type)) throw new TypeError(`'${type}' is no type of events`);
  return `machined.${EVENTS_TOKEN}.${checkedToken(host)}.${type}`;
}

/** Returns the subject of all events of a host, or of all hosts (null). */
export function eventsSubject(host: string | null): string {
  return `machined.${EVENTS_TOKEN}.${host === null ? "*" : checkedToken(host)}.*`;
}

/** Returns the subject of a request. Throws a TypeError for an invalid name of a host. */
export function requestSubject(host: string, scope: Scope, verb: string): string {
  if (!isFleetHost(host)) throw new TypeError(`'${host}' is no name of a host`);
  return `machined.${checkedToken(host)}.${scope}.${verb}`;
}
