// `machinectl copy-to` and `copy-from`: the daemon copies; for virtual machines, which it cannot enter, scp(1) does.
import { lstatSync } from "node:fs";
import { attemptedCopy, type CopyOrder, copyByManager, copyOrder } from "../machine/copy-files.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

/** Returns the verb for a direction. */
export function copyVerb(direction: CopyOrder["direction"]) {
  return async (session: Session, words: readonly string[]): Promise<number> => {
    const order = copyOrder(direction, words);
    try {
      await copyByManager(session, order);
    } catch (error) {
      if (!(await isVirtual(session, order, error))) throw error;
      await copyWithVirtual(session, order);
    }
    return 0;
  };
}

/** Whether a copy by the manager failed because the machine is a virtual machine of this host. */
async function isVirtual(session: Session, { machine }: CopyOrder, error: unknown): Promise<boolean> {
  if (!(error instanceof Failure) || session.settings.transport.kind !== "local") return false;
  const { machineFacts } = await import("../machine/details.ts");
  const facts = await machineFacts(session, machine).catch(() => null);
  return facts?.class === "vm";
}

/** Copies over ssh, in either direction. Throws a Failure. */
async function copyWithVirtual(session: Session, order: CopyOrder): Promise<void> {
  const { machine, direction, source, destination } = order;
  const { sshAddressOf } = await import("./exec.ts");
  const { copyOverSsh, existsInVirtualMachine } = await import("./ssh.ts");
  try {
    const address = await sshAddressOf(session, machine);
    const exists =
      direction === "to" ? await existsInVirtualMachine(session, destination, address) : isThere(destination);
    if (exists && !session.settings.force) throw new Failure("File exists");
    // The daemon copies the contents of a directory into an existing one; scp would make a directory in it.
    const isFilled = exists && lstatSync(direction === "to" ? source : destination).isDirectory();
    await copyOverSsh(session, isFilled ? `${source}/.` : source, destination, direction, address);
  } catch (error) {
    if (error instanceof Failure) throw new Failure(`${attemptedCopy(order)}: ${error.message}`, { cause: error });
    throw error;
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
