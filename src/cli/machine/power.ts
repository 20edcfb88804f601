// `machinectl poweroff`, `reboot`, `terminate`, `pause`, `resume` and `kill`. A machine with a control socket of its own is asked there,
// others get a signal through the manager (machinectl(1), "Machine Commands").

import { SIGINT, SIGRTMIN_PLUS_4 } from "../format/signals.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { attempt } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { controlAddress, noControlSocket } from "./control-socket.ts";

/** A change of a machine's power: the control socket's method, and the call that replaces it without a socket. */
interface PowerAction {
  readonly method: string;
  readonly what: string;
  readonly otherwise: (session: Session, name: string) => Promise<unknown>;
  readonly complaint: (name: string) => string;
  /** Whether an unknown machine is reported by the id of the Varlink error, as scripts know it from the original. */
  readonly printsErrorId: boolean;
}

const POWER_OFF: PowerAction = {
  method: "PowerOff",
  what: "power off",
  otherwise: (session, name) => session.manager("KillMachine", { name, whom: "leader", signal: SIGRTMIN_PLUS_4 }),
  complaint: () => "Could not kill machine",
  printsErrorId: true,
};

const REBOOT: PowerAction = {
  method: "Reboot",
  what: "reboot",
  otherwise: (session, name) => session.manager("KillMachine", { name, whom: "leader", signal: SIGINT }),
  complaint: (name) => `Could not reboot machine '${name}'`,
  printsErrorId: true,
};

const TERMINATE: PowerAction = {
  method: "Terminate",
  what: "terminate",
  otherwise: (session, name) => session.manager("TerminateMachine", { id: name }),
  complaint: () => "Could not terminate machine",
  printsErrorId: true,
};

/** Machines without a control socket cannot be paused. */
function withoutControlSocket(_session: Session, name: string): Promise<never> {
  throw noControlSocket(name);
}

const PAUSE: PowerAction = {
  method: "Pause",
  what: "pause",
  otherwise: withoutControlSocket,
  complaint: () => "Could not pause machine",
  printsErrorId: false,
};

const RESUME: PowerAction = {
  method: "Resume",
  what: "resume",
  otherwise: withoutControlSocket,
  complaint: () => "Could not resume machine",
  printsErrorId: false,
};

async function control(session: Session, action: PowerAction, name: string, address: string): Promise<void> {
  await attempt(`Failed to ${action.what} machine '${name}'`, async () => {
    const machine = await session.connectVarlink(address, `the control socket of machine '${name}'`);
    await machine.call(`io.systemd.MachineInstance.${action.method}`);
  });
}

/** Applies an action to machines in order, up to the first failure. */
async function applyToAll(session: Session, action: PowerAction, names: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  const manager = await session.varlink();
  for (const name of names) {
    const address = manager === null ? null : await controlAddress(manager, name, action);
    if (address !== null) {
      await control(session, action, name, address);
      continue;
    }
    await attempt(action.complaint(name), () => action.otherwise(session, name));
  }
  return 0;
}

/** The verb `poweroff`: returns when the machines have been asked, not when they are off. */
export function powerOff(session: Session, names: readonly string[]): Promise<number> {
  return applyToAll(session, POWER_OFF, names);
}

/** The verb `reboot`. */
export function reboot(session: Session, names: readonly string[]): Promise<number> {
  return applyToAll(session, REBOOT, names);
}

/** The verb `terminate`. */
export function terminate(session: Session, names: readonly string[]): Promise<number> {
  return applyToAll(session, TERMINATE, names);
}

/** The verb `pause`: machines with a control socket only. */
export function pause(session: Session, names: readonly string[]): Promise<number> {
  return applyToAll(session, PAUSE, names);
}

/** The verb `resume`. */
export function resume(session: Session, names: readonly string[]): Promise<number> {
  return applyToAll(session, RESUME, names);
}

/** The verb `kill`. The manager checks which processes are meant. */
export async function kill(session: Session, names: readonly string[]): Promise<number> {
  const { killWhom, signal } = session.settings;
  await startPolkitAgent(session);
  for (const name of names) {
    await attempt("Could not kill machine", () => session.manager("KillMachine", { name, whom: killWhom, signal }));
  }
  return 0;
}
