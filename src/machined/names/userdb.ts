// Users and groups of containers for the rest of the host: vu-MACHINE-UID, vg-MACHINE-GID
// (nss-mymachines(8), https://systemd.io/USER_GROUP_API). The answers come from the kernel's id maps of each leader,
// without a bus and without waiting: dbus-daemon itself may be the caller.

import { IoSystemdUserDatabase } from "../../api/varlink/io-systemd-userdb.ts";
import { unlessNoProcess } from "../../base/absence.ts";
import { ErrnoError, errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { type BoundVarlink, bindVarlink } from "../../ipc/varlink/binding.ts";
import { setAttribute } from "../../kernel/file/attributes.ts";
import { openPath } from "../../kernel/file/fd.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { checkId, HOST_ID_END, type IdKind, idMapsOf, mapOutward } from "../../registry/machine/uid-map.ts";
import type { Daemon } from "../action/daemon.ts";
import { containerOf } from "../machines/inspect.ts";

const SERVICE = "io.systemd.Machine";
const NOBODY = 65534;
const NAME_LIMIT = 31;
const STRICT_NAME = /^[A-Za-z_][A-Za-z0-9_-]*$/;
/**
 * The names that are looked up; others are valid in no user database. The pattern is wide, because clients query all
 * services for a name, and the error of one service would become the result.
 */
const ANY_NAME = /^(?!\s)[^/:\p{Cc}]{1,256}(?<!\s)$/u;

const KINDS = {
  uid: { prefix: "vu", id: "uid", name: "userName" },
  gid: { prefix: "vg", id: "gid", name: "groupName" },
} as const;

interface Query {
  readonly service: string;
  readonly [key: string]: unknown;
}

/** A machine's user or group: its id in the machine and its id on the host. */
interface Found {
  readonly machine: Machine;
  readonly inner: number;
  readonly outer: number;
}

/** Binds io.systemd.UserDatabase to the registry. */
export function userDatabase(daemon: Daemon): BoundVarlink {
  return bindVarlink(IoSystemdUserDatabase, {
    GetUserRecord: (_call, query) => ({ record: userRecord(lookUp(daemon, "uid", query)) }),
    GetGroupRecord: (_call, query) => ({ record: groupRecord(lookUp(daemon, "gid", query)) }),
    GetMemberships: (_call, query) => {
      checkName("userName", query.userName);
      checkName("groupName", query.groupName);
      checkService(query);
      throw notFound();
    },
  });
}

function notFound(): MachinedError {
  return new MachinedError("NoRecordFound", "No such record");
}

function checkService({ service }: Query): void {
  if (service !== SERVICE) throw new MachinedError("BadService", `Service is not ${SERVICE}`);
}

/**
 * Looks up a user or group by id, name or both (`uid`/`userName`, `gid`/`groupName`). Throws the errors of the
 * protocol.
 */
export function findRecord(daemon: Daemon, kind: IdKind, query: Readonly<Record<string, unknown>>): Found {
  const { id, name } = KINDS[kind];
  const outer = checkId(id, query[id]);
  const text = checkName(name, query[name]);
  if (outer === null && text === null) {
    throw new MachinedError("EnumerationNotSupported", "Records are not listed");
  }
  const found = outer !== null ? byId(daemon, kind, outer) : byName(daemon, kind, text as string);
  if (found === null || recordName(kind, found) === null) throw notFound();
  if (text !== null && recordName(kind, found) !== text) {
    throw new MachinedError("ConflictingRecordFound", "Name and number are of different records");
  }
  return found;
}

/** As `findRecord()`, for a Varlink query, which must name this service. */
function lookUp(daemon: Daemon, kind: IdKind, query: Query): Found {
  const { id, name } = KINDS[kind];
  checkId(id, query[id]);
  checkName(name, query[name]);
  checkService(query);
  return findRecord(daemon, kind, query);
}

function checkName(field: string, value: unknown): string | null {
  if (value === undefined) return null;
  if (!ANY_NAME.test(value as string)) throw invalidArgument(field, "Not a valid name");
  return value as string;
}

function byId(daemon: Daemon, kind: IdKind, outer: number): Found | null {
  if (outer < HOST_ID_END) return null;
  const found = containerOf(daemon, kind, outer);
  if (found?.inner === 0xffff) throw new ErrnoError("EINVAL", "Invalid argument");
  return found === null ? null : { ...found, outer };
}

const NAMES = { uid: /^vu-(.+)-(0|[1-9]\d{0,9})$/, gid: /^vg-(.+)-(0|[1-9]\d{0,9})$/ } as const;

function byName(daemon: Daemon, kind: IdKind, name: string): Found | null {
  const [, machineName = "", digits = ""] = NAMES[kind].exec(name) ?? [];
  const machine = daemon.registry.find(machineName);
  const inner = Number(digits);
  if (machine?.class !== "container" || inner === 0xffff || inner >= 0xffff_ffff) return null;
  const outer = unlessNoProcess(() => mapOutward(idMapsOf(machine.leader)[kind], inner), null);
  return outer === null || outer < HOST_ID_END ? null : { machine, inner, outer };
}

/** Returns the name on the host; null where it is no valid user name (a dot in the machine's name, too long). */
export function recordName(kind: IdKind, { machine, inner }: Found): string | null {
  const name = `${KINDS[kind].prefix}-${machine.name}-${inner}`;
  return name.length <= NAME_LIMIT && STRICT_NAME.test(name) ? name : null;
}

function userRecord(found: Found): object {
  return {
    userName: recordName("uid", found),
    uid: found.outer,
    gid: NOBODY,
    realName: `UID ${found.inner} of Container ${found.machine.name}`,
    homeDirectory: "/",
    shell: "/usr/sbin/nologin",
    locked: true,
    service: SERVICE,
    disposition: "container",
  };
}

function groupRecord(found: Found): object {
  return {
    groupName: recordName("gid", found),
    gid: found.outer,
    description: `GID ${found.inner} of Container ${found.machine.name}`,
    service: SERVICE,
    disposition: "container",
  };
}

/**
 * Sets attributes on the socket's inode that tell which users this service has, so that clients of 262 do not ask it
 * for others. Kernels without such attributes on sockets refuse, which is ignored.
 */
export function adviseUserDatabaseClients(socket: string): void {
  const hints = {
    "user.userdb.uid": "65536-4294967294",
    "user.userdb.gid": "65536-4294967294",
    "user.userdb.username": "vu-*",
    "user.userdb.groupname": "vg-*",
  };
  try {
    using file = openPath(socket, "path");
    for (const [name, value] of Object.entries(hints)) setAttribute(file, name, Buffer.from(value));
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
  }
}
