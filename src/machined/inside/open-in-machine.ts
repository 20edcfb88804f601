// Opens files of a machine. A machine with a user namespace may mount file systems whose requests its own processes
// answer (FUSE), or leave unanswered: the daemon must never wait for one. Files on file systems that the kernel alone
// answers, and that it has cached, are opened at once. All others are opened by a worker process, which may wait for a
// limited time.

import { MachinedError } from "../../base/error.ts";
import { type Fd, openPath } from "../../kernel/file/fd.ts";
import type { Identity } from "../../kernel/process/namespace.ts";
import { openProcessLink, ProcessLinks } from "../../kernel/process/process-link.ts";
import { shareOwner } from "../../kernel/process/share-owner.ts";
import { receiveMessage, socketPair } from "../../kernel/socket/unix.ts";
import { pin } from "../../kernel/syscall/mem.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { DAEMON_TABLE_LIMIT_BYTES, openPathCached } from "../../registry/machine/open-cached.ts";
import { type OpenFileKind, openAsKind } from "../../registry/open-file-kind.ts";
import type { Operations, Plain } from "../../registry/operation.ts";
import { type OpenArguments, WORK_FDS } from "../../registry/worker-request.ts";
import { KeyedLimiter } from "./keyed-limiter.ts";

const TIMEOUT_MS = 5_000;
/**
 * Workers that open files: fewer than there may be operations, and one for each machine, so that a machine that hangs
 * blocks only itself. The machines of one user get at most half of the places: all of them may hang.
 */
const limiter = new KeyedLimiter<Machine>({ all: 48, each: 48 });

/** Names the root directories of several machines, which takes less time for all of them together. */
export class MachineRoots implements Disposable {
  readonly #links: ProcessLinks;

  constructor(machines: readonly Machine[]) {
    const containers = machines.filter((machine) => machine.class === "container");
    this.#links = new ProcessLinks(
      containers.map(({ leader }) => leader.pid),
      "root",
      "path",
    );
  }

  /** Names the root directory of one of the machines. Throws as `nameRoot()`. */
  name(machine: Machine): Fd {
    if (machine.isHost) return nameRoot(machine);
    const { leader } = machine;
    return leader.verified(() => this.#links.open(leader.pid));
  }

  [Symbol.dispose](): void {
    this.#links[Symbol.dispose]();
  }
}

/** Names the root directory of a machine, without opening it. Throws an error with errno when the leader is gone. */
export function nameRoot(machine: Machine): Fd {
  if (machine.isHost) return openPath("/", "path");
  const { leader } = machine;
  return leader.verified(() => openProcessLink(leader.pid, "root", "path"));
}

/**
 * Opens a file of a machine as `identity`. Throws an error with errno where it is missing or cannot be opened
 * (`EAGAIN`: the socket's queue is full), Timeout where the machine's file system does not answer.
 */
export async function openInMachine(
  operations: Operations,
  machine: Machine,
  file: { readonly path: string; readonly kind: OpenFileKind; readonly identity: Identity },
): Promise<Fd> {
  const { path, kind, identity } = file;
  using root = nameRoot(machine);
  using known = openPathCached(machine, root, path, DAEMON_TABLE_LIMIT_BYTES);
  if (known !== null) return openAsKind(known, kind, identity);
  const [ours, theirs] = socketPair();
  using socket = ours;
  try {
    await askWorker(
      operations,
      machine,
      { path, want: kind, identity },
      { [WORK_FDS.root]: root, [WORK_FDS.answer]: theirs },
    );
  } finally {
    theirs.close();
  }
  const received = receiveMessage(socket, pin(1));
  const opened = typeof received === "object" ? received.fds[0] : undefined;
  if (opened === undefined) throw new MachinedError("Failed", `Cannot open ${path} of machine ${machine.name}.`);
  return opened;
}

/**
 * Returns the content of a regular file of a machine, read as `identity` by a worker. Throws as `openInMachine()` does.
 */
export async function readByWorker(
  operations: Operations,
  machine: Machine,
  file: { readonly path: string; readonly limitBytes: number; readonly identity: Identity },
): Promise<Buffer> {
  const { path, limitBytes, identity } = file;
  using root = nameRoot(machine);
  const value = await askWorker(
    operations,
    machine,
    { path, want: { limitBytes }, identity },
    { [WORK_FDS.root]: root },
  );
  return Buffer.from(String(value), "base64");
}

/**
 * Waits for the worker, but not longer than the deadline, also where the worker hangs in the kernel and cannot be
 * killed.
 */
async function askWorker(
  operations: Operations,
  machine: Machine,
  request: OpenArguments,
  fds: Readonly<Record<number, Fd>>,
): Promise<Plain> {
  operations.requireResponsive(machine);
  const owner = {};
  const late = Promise.withResolvers<never>();
  const text = `Machine ${machine.name} does not give access to ${request.path}.`;
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    operations.cancel(owner);
    late.reject(new MachinedError("Timeout", text));
  }, TIMEOUT_MS);
  const answer = limiter.take(machine, shareOwner(machine.facts.uid), async () => {
    // Descriptors that arrive after the deadline are closed.
    if (isLate) return null;
    return operations.run({
      program: "open-in-machine",
      args: [JSON.stringify(request)],
      fds,
      owner,
      subject: machine,
    });
  });
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
