// How many machines users other than root may register. Each takes two descriptors, memory and a state file, and it
// stays when its leader has ended while its unit has processes: without a limit, a user with a session, whose unit has
// some, could register one process after the other until the daemon has no descriptor left.
import { MachinedError } from "../../base/error.ts";
import { mayTakeAnother, type ShareLimits } from "../../base/fair-share.ts";
import { type Caller, isPrivileged } from "../../ipc/caller.ts";
import { shareOwner } from "../../kernel/process/share-owner.ts";
import type { Machine } from "../../registry/machine/machine.ts";

const LIMITS: ShareLimits = { all: 4096, each: 512 };

/** The users for whom machines are counted; to find one, files are looked at. */
const owners = new WeakMap<Machine, number>();

function ownerOf(machine: Machine): number {
  const known = owners.get(machine);
  if (known !== undefined) return known;
  const owner = shareOwner(machine.facts.uid);
  owners.set(machine, owner);
  return owner;
}

/** Throws LimitsExceeded where the caller may not register another machine beside these. */
export function requireRoomForMachine(machines: Iterable<Machine>, caller: Caller): void {
  if (isPrivileged(caller)) return;
  const owner = shareOwner(caller.uid);
  let own = 0;
  let all = 0;
  for (const machine of machines) {
    if (machine.facts.uid === 0) continue;
    all++;
    if (ownerOf(machine) === owner) own++;
  }
  if (mayTakeAnother(own, all, LIMITS)) return;
  throw new MachinedError("LimitsExceeded", `Too many machines: user ${owner} has ${own}, all users have ${all}`);
}
