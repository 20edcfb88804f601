// What our daemons leave below /run when they end: their log of events, and sockets that nobody answers on any more. The
// distribution's daemons make the sockets of theirs anew, and know nothing of the others.
import { rmdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { connectUnix } from "../kernel/socket/unix.ts";
import { isErrno } from "../kernel/syscall/sys.ts";
import type { Host } from "./host.ts";

const FILES = ["systemd/machine/events", "systemd/machine/events.old"];
const SOCKETS = [
  ...["metrics", "names", "private", "io.systemd.Machine", "io.systemd.MachineImage", "io.machined.Exec"].map(
    (name) => `systemd/machine/${name}`,
  ),
  ...["systemd/io.systemd.Import", "systemd/import/private", "systemd/resolve.hook/io.systemd.Machine"],
  "systemd/userdb/io.systemd.Machine",
];
/** Removed where nothing is left in them. Those that systemd's own programs use stay where it runs. */
const OWN_DIRECTORIES = ["systemd/machine", "systemd/import", "machined-run"];
const SHARED_DIRECTORIES = ["systemd/machines", "systemd/resolve.hook", "systemd/userdb"];

function isDeadSocket(path: string): boolean {
  try {
    if (!statSync(path).isSocket()) return false;
    connectUnix(path).close();
    return false;
  } catch (error) {
    return isErrno(error, "ECONNREFUSED");
  }
}

function removeEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // It is not there, or others have something in it.
  }
}

/** Removes them from the running host, where the daemons have ended. */
export function removeLeftovers(host: Host): void {
  if (!host.isLive) return;
  const run = join(host.root, "run");
  for (const file of FILES) rmSync(join(run, file), { force: true });
  for (const socket of SOCKETS) if (isDeadSocket(join(run, socket))) rmSync(join(run, socket), { force: true });
  const directories = [...OWN_DIRECTORIES, ...(host.runsSystemd ? [] : SHARED_DIRECTORIES)];
  for (const directory of directories) removeEmpty(join(run, directory));
}
