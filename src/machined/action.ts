// How an action is carried out: prepare → authorize → prepare again → run.
//
// `prepare` looks things up, checks arguments and says which permission the action needs; it changes nothing. Asking for
// the permission waits, and afterwards nothing of what was looked up need be true: so it is done again, and `run` starts
// with what holds now, without a wait in between. No author of an action can forget the second look.
import { authorize, type Permission } from "../ipc/polkit.ts";
import type { Call, Daemon } from "./daemon.ts";

/** What preparing gave: `permission` is absent where everyone may. */
export interface Prepared {
  readonly permission?: Permission | undefined;
}

export interface Action<Parameters, Plan extends Prepared, Result> {
  prepare(daemon: Daemon, parameters: Parameters, call: Call): Plan;
  run(daemon: Daemon, plan: Plan, parameters: Parameters, call: Call): Result | Promise<Result>;
}

/** Keeps the types of an action's parts together. */
export function defineAction<Parameters, Plan extends Prepared, Result>(
  action: Action<Parameters, Plan, Result>,
): Action<Parameters, Plan, Result> {
  return action;
}

/** Carries an action out. An action that needs no permission is done at once, without a promise. */
export function perform<Parameters, Plan extends Prepared, Result>(
  daemon: Daemon,
  call: Call,
  action: Action<Parameters, Plan, Result>,
  parameters: Parameters,
): Result | Promise<Result> {
  const plan = action.prepare(daemon, parameters, call);
  if (plan.permission === undefined) return action.run(daemon, plan, parameters, call);
  return authorize(daemon.bus(), call, plan.permission).then(() =>
    action.run(daemon, action.prepare(daemon, parameters, call), parameters, call),
  );
}
