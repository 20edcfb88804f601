// How an action is carried out: prepare → authorize → prepare again → compare → run.
//
// `prepare` looks up the subject, checks the arguments and returns a plan; it changes nothing. Which permission the
// plan needs follows from the row of the called method and the plan's grant. Polkit is asked asynchronously, and by the
// time it answers a name may mean another machine, with another owner. So `prepare` is called again, and the new plan
// must need the same permission on the same subject. Otherwise the new plan is authorized, at most ROUNDS_LIMIT times.
// `run` receives the latest plan without an await in between.
import { MachinedError } from "../../base/error.ts";
import type { Call } from "../../daemon/call.ts";
import { type Grant, permissionsOf } from "../../daemon/permission/access.ts";
import { authorize, type Permission } from "../../daemon/permission/polkit.ts";
import type { Daemon } from "./daemon.ts";

/** The machine or image that an action works on. */
interface Subject {
  /** Whether `other` is the same registration or file, and not another one that has its name now. */
  isSame(other: Subject): boolean;
}

/** The plan that `prepare` returns. */
interface Prepared {
  /** Null where the action works on no single machine or image (the pool, a list). */
  readonly subject: Subject | null;
  /** Absent where these arguments need no permission. */
  readonly grant?: Grant | undefined;
}

interface Action<Parameters, Plan extends Prepared, Result> {
  prepare(daemon: Daemon, parameters: Parameters, call: Call): Plan;
  run(daemon: Daemon, plan: Plan, parameters: Parameters, call: Call): Result | Promise<Result>;
}

/** How often an action asks polkit anew because its subject changed meanwhile. */
const ROUNDS_LIMIT = 4;

/** Declares an action; the type of its plan is inferred. */
export function defineAction<Parameters, Plan extends Prepared, Result>(
  action: Action<Parameters, Plan, Result>,
): Action<Parameters, Plan, Result> {
  return action;
}

/** Carries out an action. One that needs no permission runs at once, without a promise. */
export function perform<Parameters, Plan extends Prepared, Result>(
  daemon: Daemon,
  call: Call,
  action: Action<Parameters, Plan, Result>,
  parameters: Parameters,
): Result | Promise<Result> {
  const plan = action.prepare(daemon, parameters, call);
  if (neededFor(daemon, call, plan).length === 0) return action.run(daemon, plan, parameters, call);
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
    const permissions = neededFor(daemon, call, asked);
    await authorize(daemon.authority(), call, permissions);
    const now = action.prepare(daemon, parameters, call);
    const needed = neededFor(daemon, call, now);
    const isSame = isSameSubject(now.subject, asked.subject) && Bun.deepEquals(needed, permissions, true);
    if (needed.length === 0 || isSame) return action.run(daemon, now, parameters, call);
    asked = now;
  }
  throw new MachinedError(
    "AccessDenied",
    "Access denied: the machine or image was replaced while permission was asked",
  );
}

function neededFor({ hostVersion }: Daemon, { access }: Call, plan: Prepared): readonly Permission[] {
  return permissionsOf(access, plan.grant ?? null, hostVersion);
}

function isSameSubject(a: Subject | null, b: Subject | null): boolean {
  return a === null || b === null ? a === b : a.isSame(b);
}
