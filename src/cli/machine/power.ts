// `machinectl poweroff`, `reboot`, `terminate`, `pause`, `resume` and `kill` (machinectl(1), "Machine Commands"). A
// machine with a control socket is called there; for others, the manager sends a signal to the leader.

import { SIGINT, SIGRTMIN_PLUS_4 } from "../format/signals.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { attempt } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { controlAddress, hintOnName, noControlSocket } from "./control-socket.ts";

/** One of the verbs for a machine's power. */
interface PowerAction {
  /** The method of the control socket (io.systemd.MachineInstance). */
  readonly method: string;
  /** The verb in the error message of that call. */
  readonly what: string;
  /** The call of the manager for machines without a control socket. */
  readonly otherwise: (session: Session, name: string) => Promise<unknown>;
  /** The beginning of the error message of that call. */
  readonly complaint: (name: string) => string;
  /** Whether the error for an unknown machine is printed as its Varlink id, which is what the original prints. */
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

/** Throws the Failure for a machine without a control socket, which cannot be paused. */
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

/** Applies an action to machines one after the other, up to the first failure. */
async function applyToAll(session: Session, action: PowerAction, names: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  const manager = await session.varlink();
  for (const name of names) {
    const address = manager === null ? null : await controlAddress(manager, name, action);
    if (address !== null) {
      await control(session, action, name, address);
      continue;
    }
    await attempt(
      action.complaint(name),
      () => action.otherwise(session, name),
      () => hintOnName(name),
    );
  }
  return 0;
}

/** The verb `poweroff`. Returns when the requests or signals have been sent, not when the machines are off. */
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

/** The verb `pause`, for machines with a control socket. */
export function pause(session: Session, names: readonly string[]): Promise<number> {
  return applyToAll(session, PAUSE, names);
}

/** The verb `resume`, for machines with a control socket. */
export function resume(session: Session, names: readonly string[]): Promise<number> {
  return applyToAll(session, RESUME, names);
}

/** The verb `kill`. The manager validates the value of --kill-whom=. */
export async function kill(session: Session, names: readonly string[]): Promise<number> {
  const { killWhom, signal } = session.settings;
  await startPolkitAgent(session);
  for (const name of names) {
    await attempt(
      "Could not kill machine",
      () => session.manager("KillMachine", { name, whom: killWhom, signal }),
      () => hintOnName(name),
    );
  }
  return 0;
}
