// How an action is carried out: prepare → authorize → prepare again → compare → run.
//
// `prepare` looks things up, checks arguments and says which permission the action needs, and on what; it changes nothing.
// Asking for the permission waits, and afterwards nothing of what was looked up need be true: a name may stand for another
// machine, with another owner. So `prepare` is called again, and what it says must be what was authorized: the same
// permission on the same subject. Otherwise the new plan is authorized, as often as ROUNDS_LIMIT says. `run` starts with
// what holds now, without a wait in between. `subject` is required, so no author of an action can forget it.
import { isDeepStrictEqual } from "node:util";
import { MachinedError } from "../../base/error.ts";
import type { Call } from "../../daemon/call.ts";
import { authorize, type Permission } from "../../daemon/polkit.ts";
import type { Daemon } from "./daemon.ts";

/** What an action works on, as it was found. */
export interface Subject {
  /** Whether the other is this very machine or image, and not one that has its name now. */
  isSame(other: Subject): boolean;
}

/** What `prepare` returns. */
export interface Prepared {
  /** Null where the action works on no single machine or image (the pool, a list). */
  readonly subject: Subject | null;
  /** Absent where everyone may. */
  readonly permission?: Permission | undefined;
}

export interface Action<Parameters, Plan extends Prepared, Result> {
  prepare(daemon: Daemon, parameters: Parameters, call: Call): Plan;
  run(daemon: Daemon, plan: Plan, parameters: Parameters, call: Call): Result | Promise<Result>;
}

/** A subject that has changed this often while its permission was asked for will not stand still. */
const ROUNDS_LIMIT = 4;

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
  return performAuthorized(daemon, call, action, parameters, plan);
}

async function performAuthorized<Parameters, Plan extends Prepared, Result>(
  daemon: Daemon,
  call: Call,
  action: Action<Parameters, Plan, Result>,
  parameters: Parameters,
  first: Plan,
): Promise<Result> {
  let asked = first;
  for (let round = 0; round < ROUNDS_LIMIT; round++) {
    if (asked.permission !== undefined) await authorize(daemon.authority(), call, asked.permission);
    const now = action.prepare(daemon, parameters, call);
    if (isCovered(now, asked)) return action.run(daemon, now, parameters, call);
    asked = now;
  }
  throw new MachinedError("AccessDenied", "Access denied: what is asked for was replaced while permission was asked");
}

/** Whether the permission that was asked for is the one that is needed now, on the same subject. */
function isCovered(now: Prepared, asked: Prepared): boolean {
  if (now.permission === undefined) return true;
  return isSameSubject(now.subject, asked.subject) && isDeepStrictEqual(now.permission, asked.permission);
}

function isSameSubject(a: Subject | null, b: Subject | null): boolean {
  return a === null || b === null ? a === b : a.isSame(b);
}
