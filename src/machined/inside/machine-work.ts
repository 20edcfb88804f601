// Operations in machines that take long or must run inside a machine's namespaces: each runs in a worker process, for
// which the daemon waits asynchronously. An operation ends with its machine.

import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { randomHex } from "../../base/random-hex.ts";
import { type Identity, openNamespace } from "../../kernel/process/namespace.ts";
import { unsupported } from "../../registry/machine/errors.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { Operations, Plain } from "../../registry/operation.ts";
import type { Log } from "../../registry/ports.ts";
import { type BindArguments, type CopyArguments, WORK_FDS } from "../../registry/worker-request.ts";
import { nameRoot } from "./open-in-machine.ts";
import { rootIdentity } from "./root-identity.ts";

/** The deadline for attaching a mount. It is reached only where the machine's file systems do not answer. */
const BIND_TIMEOUT_MS = 30_000;
/** A copy reports each file and each part of a large one. One that reports nothing for this long is killed. */
const SILENCE_MS = 60_000;

/** Throws TooManyOperations while the maximum of operations on machines is running. */
export function requireRoomForCopy(operations: Operations): void {
  operations.requireRoom("Too many ongoing copies.", MACHINES);
}

/** A placeholder for any machine. */
const MACHINES = {};

/** Copies between host and machine. Throws errors with errno, and NotSupported where the machine has no root user. */
export async function copyWithMachine(
  operations: Operations,
  machine: Machine,
  wanted: Omit<CopyArguments, "machineRoot" | "temporary">,
  log: Log,
): Promise<void> {
  requireRoomForCopy(operations);
  const temporary = `.#copy-${randomHex(8)}`;
  const copy: CopyArguments = { ...wanted, machineRoot: identityOf(machine), temporary };
  using root = nameRoot(machine);
  const request = {
    program: "copy-files",
    args: [JSON.stringify(copy)],
    fds: { [WORK_FDS.root]: root },
    subject: machine,
    silenceMs: SILENCE_MS,
  };
  try {
    const onProgress = (progress: Plain) => log.debug(`Copy of ${wanted.source}: ${JSON.stringify(progress)}`);
    await operations.run({ ...request, owner: machine, onProgress });
  } catch (error) {
    const errno = errnoNameOf(error);
    if (errno !== "ESHUTDOWN" && errno !== "ETIMEDOUT") throw error;
    // The worker was killed, mostly with its machine. Failures of the cleaning are ignored.
    const cleaned = operations.run({ ...request, args: [...request.args, "clean"] }).catch(() => {});
    // A hanging file system may block the cleaning, too; the caller does not wait for it.
    if (errno === "ESHUTDOWN") await cleaned;
    throw error;
  }
}

/** Attaches a bind mount in the machine. Throws errors with errno. */
export async function bindIntoMachine(
  operations: Operations,
  machine: Machine,
  wanted: Omit<BindArguments, "machineRoot" | "tunnel">,
): Promise<void> {
  const tunnel = `/run/systemd/nspawn/propagate/${machine.name}`;
  const request: BindArguments = { ...wanted, machineRoot: identityOf(machine), tunnel };
  const { pidfd, pid } = machine.leader;
  if (pidfd === null) throw unsupported();
  using root = nameRoot(machine);
  using users = machine.leader.verified(() => openNamespace(pid, "user"));
  const owner = {};
  const timer = setTimeout(() => operations.cancel(owner), BIND_TIMEOUT_MS);
  try {
    const fds = { [WORK_FDS.root]: root, [WORK_FDS.leader]: pidfd, [WORK_FDS.userNamespace]: users };
    await operations.run({ program: "bind-mount", args: [JSON.stringify(request)], fds, owner, subject: machine });
  } catch (error) {
    if (errnoNameOf(error) === "ESHUTDOWN") throw new ErrnoError("ETIMEDOUT", errnoText("ETIMEDOUT"));
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Returns the user and group of the host that are the machine's root; null where that is the host's own root. */
function identityOf(machine: Machine): Identity | null {
  const identity = rootIdentity(machine);
  if (identity === null) throw unsupported(`Machine ${machine.name} has no root user`);
  return identity.uid === 0 && identity.gid === 0 ? null : identity;
}
