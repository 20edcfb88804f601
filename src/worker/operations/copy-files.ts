// machined-worker copy-files: copies a file or tree between this host and a machine (org.freedesktop.machine1(5),
// CopyToMachine()).
//
// It never enters the machine: descriptor 4 is the machine's root directory, and all of the machine's paths are
// resolved beneath it, step by step on directory descriptors, so that no link in the machine leads out of it, whenever
// it is made.
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { lastNameOf, parentOf } from "../../base/path-parts.ts";
import { Fd, openInRoot, openPath } from "../../kernel/file/fd.ts";
import { makeFilesAs } from "../../kernel/process/act-as.ts";
import { forbidInspection } from "../../kernel/process/dumpable.ts";
import type { Identity } from "../../kernel/process/namespace.ts";
import { dieWithParent } from "../../kernel/process/parent-death.ts";
import { copyMerging } from "../../kernel/tree/copy-merge.ts";
import type { NamedPlace } from "../../kernel/tree/link.ts";
import { KEEP_OWNERS, type OwnerPolicy } from "../../kernel/tree/owner-policy.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { rawOf } from "../../kernel/tree/tree.ts";
import { type CopyArguments, WORK_FDS } from "../../registry/worker-request.ts";
import { type Telling, workerOf } from "./run-operation.ts";

const HOST_ROOT: Identity = { uid: 0, gid: 0 };

/** With a second argument, "clean", removes the remains of a killed worker. */
export const main = workerOf(([request = "{}", what], tell) => {
  forbidInspection();
  using root = Fd.inherited(WORK_FDS.root);
  // The daemon's request, which it has checked.
  if (what === "clean") clean(root, JSON.parse(request) as CopyArguments);
  else copy(root, JSON.parse(request) as CopyArguments, tell);
  return null;
});

function copy(root: Fd, request: CopyArguments, tell: Telling): void {
  process.umask(0);
  const isToMachine = request.direction === "to-machine";
  using hostDirectory = openHostDirectory(isToMachine ? request.source : request.destination);
  using machineDirectory = openInRoot(root, parentOf(isToMachine ? request.destination : request.source), "directory");
  const [from, to] = isToMachine ? [hostDirectory, machineDirectory] : [machineDirectory, hostDirectory];
  if (isToMachine && request.machineRoot !== null) {
    makeFilesAs(request.machineRoot);
    dieWithParent(); // the kernel clears it when the identity changes
  }
  const source: NamedPlace = { directory: from, name: rawOf(lastNameOf(request.source)) };
  const target = { directory: to, name: rawOf(lastNameOf(request.destination)), temporary: request.temporary };
  let bytes = 0;
  const onBytes = (count: number) => {
    bytes += count;
    tell.progress({ bytes });
  };
  copyMerging(source, target, { policy: policyOf(request), replace: request.replace, onBytes });
}

function clean(root: Fd, { direction, destination, temporary }: CopyArguments): void {
  const path = parentOf(destination);
  using directory = direction === "to-machine" ? openInRoot(root, path, "directory") : openPath(path, "directory");
  removeTree(directory, temporary);
}

/** Files copied to a machine with users of its own belong to its root, and files copied from it to the host's root. */
function policyOf({ direction, machineRoot }: CopyArguments): OwnerPolicy {
  if (machineRoot === null) return KEEP_OWNERS;
  return direction === "to-machine"
    ? { owner: machineRoot, shift: machineRoot.uid, dropsPrivileges: false }
    : { owner: HOST_ROOT, shift: -machineRoot.uid, dropsPrivileges: true };
}

function openHostDirectory(path: string): Fd {
  try {
    return openPath(parentOf(path), "directory");
  } catch (error) {
    const errno = errnoNameOf(error);
    if (errno === null) throw error;
    throw new ErrnoError(errno, `Failed to open host directory ${path}: ${errnoText(errno)}`, { cause: error });
  }
}
