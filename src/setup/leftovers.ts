// What our daemons leave below /run when they end: their log of events, and sockets that nobody answers on any more. The
// distribution's daemons make the sockets of theirs anew, and know nothing of the others. Somebody else may have put something in
// their places: no symbolic link is followed, and what is no file or dead socket there stays.
import { basename, dirname, join } from "node:path";
import { removeDirectory, unlink } from "../kernel/file/directory-entry.ts";
import { type Fd, openBeneath, openPath, statAt, statFd } from "../kernel/file/fd.ts";
import { connectThroughFd } from "../kernel/socket/unix.ts";
import { isErrno, SyscallError } from "../kernel/syscall/sys.ts";
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

function isDead(socket: Fd): boolean {
  try {
    connectThroughFd(socket).close();
    return false;
  } catch (error) {
    return isErrno(error, "ECONNREFUSED");
  }
}

/** Removes what `isOurs` says yes to. Throws a SyscallError where there is nothing, or a symbolic link. */
function removeIf(directory: Fd, name: string, isOurs: (found: Fd) => boolean): void {
  using found = openBeneath(directory, name, "path");
  if (!isOurs(found)) return;
  // Another one may have its name by now, such as the socket of a daemon that has just started.
  const [seen, now] = [statFd(found), statAt(directory, name, "no-follow")];
  if (seen.dev === now.dev && seen.ino === now.ino) unlink(name, directory);
}

/** Does something in the directory that holds `path`. What is not there, or stands in the way, is left. */
function inDirectoryOf(run: Fd, path: string, work: (directory: Fd, name: string) => void): void {
  try {
    using directory = openBeneath(run, dirname(path), "directory");
    work(directory, basename(path));
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
}

/** Removes them below a given /run. */
export function removeLeftoversBelow(path: string, runsSystemd: boolean): void {
  using run = openPath(path, "directory");
  const isFile = (found: Fd) => statFd(found).kind === "regular";
  const isDeadSocket = (found: Fd) => statFd(found).kind === "socket" && isDead(found);
  for (const file of FILES) inDirectoryOf(run, file, (directory, name) => removeIf(directory, name, isFile));
  for (const socket of SOCKETS)
    inDirectoryOf(run, socket, (directory, name) => removeIf(directory, name, isDeadSocket));
  for (const own of [...OWN_DIRECTORIES, ...(runsSystemd ? [] : SHARED_DIRECTORIES)]) {
    // Where others have something in it, it stays.
    inDirectoryOf(run, own, (directory, name) => removeDirectory(name, directory));
  }
}

/** Removes them from the running host, where the daemons have ended. */
export function removeLeftovers(host: Host): void {
  if (host.isLive) removeLeftoversBelow(join(host.root, "run"), host.runsSystemd);
}
