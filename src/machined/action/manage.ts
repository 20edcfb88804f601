// The permission to manage machines, which most actions on them need.

import type { Call } from "../../daemon/call.ts";
import type { Permission } from "../../daemon/polkit.ts";
import type { Machine } from "../../registry/machine/machine.ts";

/** The permission to manage a machine. D-Bus calls the machine "machine" in the details, Varlink "name". */
export function manage(machine: Machine, verb: string, call: Call, details: Record<string, string> = {}): Permission {
  const subject = call.transport === "bus" ? "machine" : "name";
  return {
    action: "org.freedesktop.machine1.manage-machines",
    details: { [subject]: machine.name, verb, ...details },
  };
}

/** The same where the machine's owner needs no permission. */
export function manageOwn(machine: Machine, verb: string, call: Call): Permission {
  const permission = manage(machine, verb, call);
  return machine.isHost ? permission : { ...permission, ownerUid: machine.facts.uid };
}
