// `machinectl copy-to` and `copy-from`: the daemon copies; for virtual machines, which it cannot enter, scp(1) does.
import { attemptedCopy, type CopyOrder, copyByManager, copyOrder } from "../machine/copy-files.ts";
import { Failure, failed } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { PathKind } from "./ssh.ts";

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
  try {
    await copyOverNetwork(session, order);
  } catch (error) {
    if (!(error instanceof Failure)) throw failed(attemptedCopy(order), error);
    throw new Failure(`${attemptedCopy(order)}: ${error.message}`, { cause: error, hint: error.hint });
  }
}

async function copyOverNetwork(session: Session, { machine, direction, source, destination }: CopyOrder) {
  const { sshAddressOf } = await import("./exec.ts");
  const { copyOverSsh, kindInVirtualMachine } = await import("./ssh.ts");
  const address = await sshAddressOf(session, machine);
  const inMachine = (path: string) => kindInVirtualMachine(session, path, address);
  const [kindOfSource, kindOfTarget] = direction === "to" ? [kindHere, inMachine] : [inMachine, kindHere];
  if (direction === "to" && kindHere(source) === "missing") throw new Failure("No such file or directory");
  const target = await kindOfTarget(destination);
  if (target !== "missing" && !session.settings.force) throw new Failure("File exists");
  // The daemon copies the contents of a directory into an existing one; scp would make a directory in it.
  const isFilled = target === "directory" && (await kindOfSource(source)) === "directory";
  await copyOverSsh(session, isFilled ? `${source}/.` : source, destination, direction, address);
}

/** Returns what is at a path of this host; a symbolic link is `other`. Throws an error with errno. */
function kindHere(path: string): PathKind {
  const status = process.getBuiltinModule("node:fs").lstatSync(path, { throwIfNoEntry: false });
  if (status === undefined) return "missing";
  return status.isDirectory() ? "directory" : "other";
}
