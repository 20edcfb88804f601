// Removes what the daemons leave in /run when they end: the log of events, and sockets on which no process listens. The
// distribution's daemons would replace only some of these sockets. Other programs may have files of the same names
// there: no symbolic link is followed, and only regular files and dead sockets are removed.
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
/** Directories that are removed if they are empty. */
const OWN_DIRECTORIES = ["systemd/machine", "systemd/import", "machined-run"];
/** Directories that programs of systemd also use: removed if they are empty and systemd does not run. */
const SHARED_DIRECTORIES = ["systemd/machines", "systemd/resolve.hook", "systemd/userdb"];

/** Whether no process listens on a socket. */
function isDead(socket: Fd): boolean {
  try {
    connectThroughFd(socket).close();
    return false;
  } catch (error) {
    return isErrno(error, "ECONNREFUSED");
  }
}

/**
 * Removes an entry if `isOurs` returns true for it. Throws a SyscallError if it does not exist or is a symbolic link.
 */
function removeIf(directory: Fd, name: string, isOurs: (found: Fd) => boolean): void {
  using found = openBeneath(directory, name, "path");
  if (!isOurs(found)) return;
  // By now, the name may belong to another file, such as the socket of a daemon that has just started.
  const [seen, now] = [statFd(found), statAt(directory, name, "no-follow")];
  if (seen.dev === now.dev && seen.ino === now.ino) unlink(name, directory);
}

/** Calls `work` with the directory of `path` below `run` and its last component. Errors of system calls are ignored. */
function inDirectoryOf(run: Fd, path: string, work: (directory: Fd, name: string) => void): void {
  try {
    using directory = openBeneath(run, dirname(path), "directory");
    work(directory, basename(path));
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
}

/** Removes the leftovers below `path`, which is /run except in tests. */
export function removeLeftoversBelow(path: string, runsSystemd: boolean): void {
  using run = openPath(path, "directory");
  const isFile = (found: Fd) => statFd(found).kind === "regular";
  const isDeadSocket = (found: Fd) => statFd(found).kind === "socket" && isDead(found);
  for (const file of FILES) inDirectoryOf(run, file, (directory, name) => removeIf(directory, name, isFile));
  for (const socket of SOCKETS)
    inDirectoryOf(run, socket, (directory, name) => removeIf(directory, name, isDeadSocket));
  for (const own of [...OWN_DIRECTORIES, ...(runsSystemd ? [] : SHARED_DIRECTORIES)]) {
    // Fails if the directory is not empty.
    inDirectoryOf(run, own, (directory, name) => removeDirectory(name, directory));
  }
}

/** Removes the leftovers from the running host. To be called when the daemons have ended. */
export function removeLeftovers(host: Host): void {
  if (host.isLive) removeLeftoversBelow(join(host.root, "run"), host.runsSystemd);
}
