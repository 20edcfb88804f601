// Connects to the system bus of a machine, for `-M NAME`: opens the socket in the machine's file system, with the
// identity of the machine's root user.

import { readFileSync } from "node:fs";
import { ErrnoError } from "../../base/error.ts";
import { isMachineName } from "../../base/names.ts";
import { parseEnvFile } from "../../base/text/env-file.ts";
import { type Fd, openInRoot } from "../../kernel/file/fd.ts";
import { withIdentity } from "../../kernel/process/namespace.ts";
import { openProcessLink } from "../../kernel/process/process-link.ts";
import { connectThroughFd } from "../../kernel/socket/unix.ts";
import { runtimeDirectory } from "../runtime-directory.ts";
import { ClientHandshake, type Handshake } from "./handshake.ts";

/** A connected socket, and the D-Bus handshake for it. */
interface Connected {
  readonly fd: Fd;
  readonly handshake: Handshake;
}

const SOCKET_IN_MACHINE = "/run/dbus/system_bus_socket";

/**
 * Opens the system bus of a registered machine. Throws an error with errno: EHOSTDOWN where there is no such machine,
 * ENOENT where it has no bus.
 */
export function openInMachine(name: string): Connected {
  if (!isMachineName(name)) throw new ErrnoError("EINVAL", "Invalid argument");
  let keys: ReadonlyMap<string, string>;
  try {
    keys = parseEnvFile(readFileSync(`${runtimeDirectory()}/machines/${name}`, "utf8"));
  } catch {
    throw new ErrnoError("EHOSTDOWN", "Host is down");
  }
  if (keys.get("CLASS") !== "container") throw new ErrnoError("EMEDIUMTYPE", "Wrong medium type");
  const leader = Number(keys.get("LEADER"));
  if (!(leader > 1)) throw new ErrnoError("EBADMSG", "Bad message");
  return openInContainer(leader);
}

/**
 * Opens the system bus of the container with this leader. The socket is opened beneath the container's root and
 * connected to as the container's root user: its bus knows no user of the host. Nothing here waits: throws `EAGAIN`
 * where the bus accepts no connection at once.
 */
function openInContainer(leader: number): Connected {
  using root = openProcessLink(leader, "root", "directory");
  using socket = openInRoot(root, SOCKET_IN_MACHINE, "path");
  const uid = outerRoot(leader, "uid");
  const gid = outerRoot(leader, "gid");
  const fd = withIdentity({ uid, gid }, () => connectThroughFd(socket)) as Fd;
  return { fd, handshake: new ClientHandshake(0) };
}

/**
 * Returns the id of the host that is id 0 in the container; 0 where both share a user namespace. Throws `EOPNOTSUPP`
 * where id 0 is not mapped, or not yet: nobody but the container's own root may connect to what the container offers.
 */
function outerRoot(pid: number, kind: "uid" | "gid"): number {
  const outside = outsideOfRoot(readFileSync(`/proc/${pid}/${kind}_map`, "latin1"));
  if (outside === null) throw new ErrnoError("EOPNOTSUPP", "The machine has no root user");
  return outside;
}

/**
 * Returns the outer id of id 0 by the text of a uid_map or gid_map, whose lines may have any order
 * (user_namespaces(7)); null where it has none.
 */
export function outsideOfRoot(map: string): number | null {
  const lines = map.split("\n").map((line) => line.trim().split(/\s+/).map(Number));
  return lines.find(([inside, outside]) => inside === 0 && outside !== undefined)?.[1] ?? null;
}
