// The machine that a command is to run in. The daemon is asked over Varlink: one call, without a message bus, answers
// what several calls over D-Bus do, and has the id of the leader's pidfd. Where that fails (no socket, an old manager,
// another host, no such machine), it is asked over D-Bus, whose errors are printed.
import type { PidRef } from "../../kernel/process/pidref.ts";
import { machineFacts } from "../machine/details.ts";
import type { Session } from "../session/session.ts";

/** What is known of a machine before it is entered. */
export interface ExecTarget {
  readonly name: string;
  readonly class: string;
  /** The user who registered it. */
  readonly uid: number;
  /** Its UUID, in 32 hex digits; "" for none. */
  readonly machineId: string;
  readonly leaderPid: number;
  /** The inode number of the leader's pidfd; null where the manager does not report it. */
  readonly leaderId: bigint | null;
}

/** Work that does not need the target, done while the daemon looks it up. It handles its own errors. */
type Meanwhile = () => void;

function isNumber(value: unknown): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

async function overVarlink(session: Session, name: string, meanwhile: Meanwhile): Promise<ExecTarget | null> {
  if (session.settings.scope !== "system") return null;
  const varlink = await session.varlink();
  if (varlink === null) return null;
  try {
    const reply = varlink.call("io.systemd.Machine.List", { name });
    meanwhile();
    const { leader, UID, ...rest } = await reply;
    const { pid, pidfdId } = (typeof leader === "object" && leader !== null ? leader : { pid: leader }) as {
      readonly pid?: unknown;
      readonly pidfdId?: unknown;
    };
    if (!isNumber(pid) || typeof rest["class"] !== "string") return null;
    return {
      name: String(rest["name"] ?? name),
      class: rest["class"],
      // Managers before 258 do not report it, and have machines of root only.
      uid: isNumber(UID) ? Number(UID) : 0,
      machineId: typeof rest["id"] === "string" ? rest["id"].replaceAll("-", "") : "",
      leaderPid: Number(pid),
      leaderId: isNumber(pidfdId) ? BigInt(pidfdId) : null,
    };
  } catch {
    return null;
  }
}

/**
 * Returns the machine of that name, and calls `meanwhile` while the daemon works. Throws a Failure if the manager does
 * not know it.
 */
export async function execTarget(session: Session, name: string, meanwhile: Meanwhile): Promise<ExecTarget> {
  const found = await overVarlink(session, name, meanwhile);
  if (found !== null) return found;
  const facts = await machineFacts(session, name);
  return { ...facts, machineId: facts.id, leaderId: null };
}

/**
 * Opens a pidfd of the machine's leader, so that a later process with the same number cannot be taken for it. The
 * caller disposes of it. Throws MachineEnded if the machine has ended.
 */
export async function holdLeader(session: Session, target: ExecTarget): Promise<PidRef> {
  const [{ PidRef }, { MachineEnded, openLeader }] = await Promise.all([
    import("../../kernel/process/pidref.ts"),
    import("../../exec/ended.ts"),
  ]);
  const leader = openLeader(target.name, () => PidRef.of(target.leaderPid));
  try {
    if (target.leaderId !== null && leader.id !== null) {
      if (target.leaderId === leader.id) return leader;
    } else {
      // The PID may have been reused before the pidfd was opened: then the manager reports another leader.
      const again = await execTarget(session, target.name, () => {});
      if (again.leaderPid === target.leaderPid && again.machineId === target.machineId) return leader;
    }
    throw new MachineEnded(target.name);
  } catch (error) {
    leader[Symbol.dispose]();
    throw error;
  }
}
