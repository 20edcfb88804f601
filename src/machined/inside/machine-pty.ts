// A new pseudo terminal on the devpts of a machine.
import { openPty, type Pty, ptyOf } from "../../kernel/terminal/pty.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { Operations } from "../../registry/operation.ts";
import { openInMachine } from "./open-in-machine.ts";
import { HOST_ROOT, rootIdentity } from "./root-identity.ts";

/**
 * Opens it; the caller closes the master. Throws an error with errno, Timeout where the machine's file system does not
 * answer.
 */
export async function openPtyIn(operations: Operations, machine: Machine): Promise<Pty> {
  if (machine.isHost) return openPty();
  const identity = rootIdentity(machine) ?? HOST_ROOT;
  return ptyOf(await openInMachine(operations, machine, { path: "/dev/pts/ptmx", kind: "terminal", identity }));
}
