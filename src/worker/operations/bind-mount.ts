// machined-worker bind-mount: puts a file or directory of this host into a running machine as a bind mount
// (org.freedesktop.machine1(5), BindMountMachine()).
//
// Only a process in the machine's mount namespace can attach a mount there: this one clones the mount on the host,
// enters the namespace, attaches the mount and exits. Other threads of the engine stay outside, so all calls are
// synchronous.
//
// CVE-2019-5736 was a program run inside a container while /proc/self/exe led to the host's file: the container could
// write to it. This process executes no program inside; it stays in the host's PID and user namespaces, so that the
// machine does not see it; and it is not dumpable, in case the machine shares the host's PID namespace. Programs of a
// login or shell are started by the machine's own service manager and were never processes of ours.
import { ErrnoError } from "../../base/error.ts";
import { lastNameOf, parentOf } from "../../base/path-parts.ts";
import { Fd, openInRoot, openPath, statFd } from "../../kernel/file/fd.ts";
import { mapMountIds } from "../../kernel/mount/idmapped.ts";
import { attachMount, cloneMount, enterMountNamespace, setMountAttributes } from "../../kernel/mount/mount.ts";
import { makeFilesAs } from "../../kernel/process/act-as.ts";
import { forbidInspection } from "../../kernel/process/dumpable.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { createDirectory, createFile } from "../../kernel/tree/link.ts";
import { rawOf } from "../../kernel/tree/tree.ts";
import { type BindArguments, WORK_FDS } from "../../registry/worker-request.ts";
import { BindTunnel } from "./bind-tunnel.ts";
import { workerOf } from "./run-operation.ts";

const NO_USERS = "Can't bind mount on container with user namespacing applied.";

export const main = workerOf(([request = "{}"]) => {
  forbidInspection();
  // The daemon's request, which it has checked.
  bind(JSON.parse(request) as BindArguments);
  return null;
});

function bind(request: BindArguments): void {
  process.umask(0);
  using root = Fd.inherited(WORK_FDS.root);
  using leader = PidRef.fromPidFd(Fd.inherited(WORK_FDS.leader));
  using source = openPath(request.source, "path");
  using mount = cloneMount(source, "one");
  // What the machine mounts below does not appear on the host.
  setMountAttributes(mount, { propagation: "slave", ...(request.readOnly ? { readOnly: true } : {}) }, "one");
  if (request.machineRoot !== null) showToMachine(mount);
  const mustBeLocked = request.machineRoot !== null && request.readOnly;
  using tunnel = mustBeLocked ? new BindTunnel(request.tunnel, mount, NO_USERS) : null;
  enterMountNamespace(leader);
  using shown = tunnel === null ? mount.duplicate() : tunnel.take(root);
  if (request.machineRoot !== null) makeFilesAs(request.machineRoot);
  using target = openTarget(root, request, statFd(source).kind === "directory");
  attachMount(shown, target);
}

/**
 * Maps the ids of the mount (an id-mapped mount), so that each user of the machine has the rights of the host's user
 * with the same id, root included.
 */
function showToMachine(mount: Fd): void {
  using users = Fd.inherited(WORK_FDS.userNamespace);
  try {
    mapMountIds(mount, users);
  } catch (error) {
    if (!isErrno(error, "EINVAL", "EPERM", "EOPNOTSUPP", "ENOSYS")) throw error;
    throw new ErrnoError("EOPNOTSUPP", NO_USERS, { cause: error });
  }
}

function openTarget(root: Fd, { destination, mkdir }: BindArguments, isDirectory: boolean): Fd {
  try {
    return openInRoot(root, destination, "path");
  } catch (error) {
    if (!mkdir || !isErrno(error, "ENOENT")) throw error;
  }
  using parent = openParent(root, parentOf(destination));
  const place = { directory: parent, name: rawOf(lastNameOf(destination)) };
  if (isDirectory) createDirectory(place, 0o700);
  else createFile(place, 0o600).close();
  return openInRoot(root, destination, "path");
}

/** Opens a directory; makes the missing ones on its path. */
function openParent(root: Fd, path: string): Fd {
  try {
    return openInRoot(root, path, "directory");
  } catch (error) {
    if (path === "/" || !isErrno(error, "ENOENT")) throw error;
  }
  using above = openParent(root, parentOf(path));
  createDirectory({ directory: above, name: rawOf(lastNameOf(path)) }, 0o755);
  return openInRoot(root, path, "directory");
}
