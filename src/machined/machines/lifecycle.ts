// Ending machines: terminate, kill, unregister (org.freedesktop.machine1(5), TerminateMachine() ff.).
import { ErrnoError, invalidArgument } from "../../base/error.ts";
import { KILL_WHOM } from "../../base/vocabulary/machine.ts";
import type { Grant } from "../../daemon/permission/access.ts";
import { unsupported } from "../../registry/machine/errors.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { killWithoutUnit } from "../../registry/machine/without-unit.ts";
import { defineAction } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { grantOn } from "../action/machine-grant.ts";
import { isUnitOfOwner } from "./own-unit.ts";

const SIGNAL_MAX = 64;

/** Forgets a machine; its processes continue. For the host that changes nothing. */
export const unregister = defineAction({
  prepare(daemon, { name }: { name: string }) {
    const machine = daemon.registry.get(name);
    return { subject: machine, grant: grantOn(machine) };
  },
  run(daemon, { subject: machine }) {
    daemon.registry.forget(machine, "unregistered");
  },
});

/** The owner needs no permission to end processes that are the owner's. */
function grantToEnd(daemon: Daemon, machine: Machine): Grant {
  const { ownerUid, ...others } = grantOn(machine);
  return ownerUid !== undefined && isUnitOfOwner(daemon, machine) ? { ...others, ownerUid } : others;
}

/** Stops the machine's unit, or ends its supervisor; replies before the machine has ended. */
export const terminate = defineAction({
  prepare(daemon, { name }: { name: string }) {
    const machine = daemon.registry.get(name);
    return { subject: machine, grant: grantToEnd(daemon, machine) };
  },
  run: (daemon, { subject: machine }) => daemon.registry.terminate(machine),
});

/** Sends a signal to the leader, the supervisor, or ("" or "all") all processes. */
export const kill = defineAction({
  prepare(daemon, parameters: { name: string; whom: string; signal: number }) {
    const machine = daemon.registry.get(parameters.name);
    const whom = KILL_WHOM.parse(parameters.whom || "all");
    if (whom === undefined) throw invalidArgument("whom", `Invalid kill parameter '${parameters.whom}'`);
    const { signal } = parameters;
    if (signal < 1 || signal > SIGNAL_MAX) throw invalidArgument("signal", `Invalid signal ${signal}`);
    return { subject: machine, whom, grant: whom === "all" ? grantToEnd(daemon, machine) : grantOn(machine) };
  },
  run(daemon, { subject: machine, whom }, { signal }): void | Promise<void> {
    if (machine.isHost) throw unsupported();
    if (whom === "leader") return machine.leader.kill(signal);
    if (whom === "supervisor") {
      if (machine.facts.supervisor === null) throw new ErrnoError("ESRCH", "No such process");
      return machine.facts.supervisor.kill(signal);
    }
    if (machine.place === null) return killWithoutUnit(machine.leader, signal);
    const isStillThere = () => daemon.registry.find(machine.name) === machine;
    return daemon.registry.serviceManager.killUnit(machine.place, machine.leader, signal, isStillThere);
  },
});
