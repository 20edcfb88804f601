// A new pseudo terminal on the devpts of a machine.
import { type Fd, setNonblocking } from "../../kernel/file/fd.ts";
import { openPty, type Pty, ptyOf } from "../../kernel/terminal/pty.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { Operations } from "../../registry/operation.ts";
import { openInMachine } from "./open-in-machine.ts";
import { HOST_ROOT, rootIdentity } from "./root-identity.ts";

/**
 * Opens one for a client, which owns the master. The master blocks in read(2), as clients expect. Throws an error with
 * errno, Timeout where the machine's file system does not answer.
 */
export async function openPtyIn(operations: Operations, machine: Machine): Promise<Pty> {
  if (machine.isHost) return forClient(openPty().master);
  const identity = rootIdentity(machine) ?? HOST_ROOT;
  const master = await openInMachine(operations, machine, { path: "/dev/pts/ptmx", kind: "terminal", identity });
  return forClient(master);
}

function forClient(master: Fd): Pty {
  return ptyOf(master, () => setNonblocking(master, "off"));
}
