// Queries systemd-machined for the machine in which a command is to run.

import { ERRORS, ErrnoError, MachinedError } from "../base/error.ts";
import { MachineEnded, openLeader } from "../exec/ended.ts";
import { runtimeDirectory } from "../ipc/runtime-directory.ts";
import { VarlinkError } from "../ipc/varlink/client.ts";
import { connectVarlink } from "../ipc/varlink/connect.ts";
import { PidRef } from "../kernel/process/pidref.ts";

/** A machine and a reference to its leader, which is closed by disposing. */
export interface HeldMachine extends Disposable {
  readonly name: string;
  readonly class: string;
  /** The user who registered it. */
  readonly ownerUid: number;
  readonly leader: PidRef;
}

interface Described {
  readonly name: string;
  readonly class: string;
  readonly leader?: { readonly pid: number; readonly pidfdId?: number | string };
  readonly UID?: number;
}

async function describe(name: string): Promise<Described> {
  const client = await connectVarlink(`${runtimeDirectory()}/machine/io.systemd.Machine`);
  try {
    // Our own daemon replies, or systemd's, which has the same interface.
    return (await client.call("io.systemd.Machine.List", { name })) as unknown as Described;
  } catch (error) {
    if (!(error instanceof VarlinkError)) throw error;
    if (error.id === ERRORS.NoSuchMachine.varlink) {
      throw new MachinedError("NoSuchMachine", `No machine '${name}' known`, { cause: error });
    }
    throw new ErrnoError("EIO", `systemd-machined refused to describe machine '${name}': ${error.id}`);
  } finally {
    client.close();
  }
}

function isLeader(process: PidRef, { leader }: Described): boolean {
  if (leader === undefined || leader.pid !== process.pid) return false;
  return leader.pidfdId === undefined || process.id === null || BigInt(leader.pidfdId) === process.id;
}

/**
 * The classes that can be entered. A virtual machine's leader is a process of this host: its namespaces are the host's.
 */
const ENTERED = ["container", "host"];

/**
 * Returns the machine of a name. Throws NoSuchMachine, or an ErrnoError: `ESRCH` where it has ended, `EOPNOTSUPP` for a
 * virtual machine.
 */
export async function holdMachine(name: string): Promise<HeldMachine> {
  const described = await describe(name);
  if (!ENTERED.includes(described.class)) {
    throw new ErrnoError(
      "EOPNOTSUPP",
      `Machine '${name}' is of class '${described.class}', and commands can only run in containers`,
    );
  }
  const pid = described.leader?.pid ?? 0;
  if (pid <= 0) throw new ErrnoError("ESRCH", `Machine '${name}' has no leader`);
  const leader = openLeader(name, () => PidRef.of(pid));
  if (isLeader(leader, described)) {
    const { class: kind, UID: ownerUid = 0 } = described;
    return { name: described.name, class: kind, ownerUid, leader, [Symbol.dispose]: () => leader[Symbol.dispose]() };
  }
  leader[Symbol.dispose]();
  throw new MachineEnded(name);
}

/** Returns whether the name still belongs to this machine; to be called after waiting. */
export async function isStill(machine: HeldMachine): Promise<boolean> {
  const described = await describe(machine.name);
  const { class: kind, UID: ownerUid = 0 } = described;
  return isLeader(machine.leader, described) && ownerUid === machine.ownerUid && kind === machine.class;
}
