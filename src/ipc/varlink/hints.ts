// Calls to a service of an older release, which continues to run while the host is upgraded. A service refuses a call
// with a parameter that it does not know. The row of a method says which parameters a call can do without (`hints`).
import type { VarlinkMethod } from "../../api/varlink-table.ts";
import { ERRORS } from "../../base/error.ts";
import { VarlinkError } from "./client.ts";

/** Returns the name of the parameter that a reply refuses (InvalidParameter); null for every other error. */
export function refusedParameter(error: unknown): string | null {
  if (!(error instanceof VarlinkError) || error.id !== ERRORS.InvalidArgs.varlink) return null;
  const { parameter } = error.parameters;
  return typeof parameter === "string" ? parameter : null;
}

/** The parameters of a call; undefined stands for an absent one. */
type Parameters = Readonly<Record<string, unknown>>;

/** Whether a call of the method with these parameters has hints, so that it may have to be made twice. */
export function hasHints({ hints = [] }: VarlinkMethod, parameters: Parameters): boolean {
  return hints.some((name) => parameters[name] !== undefined);
}

/**
 * Makes a call by `call`; `again`, without all hints of the method, where the service refuses one of them. Throws as
 * `call`. The second call needs a connection and descriptors of its own where it has any: a service reads nothing
 * after those of a refused call.
 */
export async function callWithHints<Result>(
  method: VarlinkMethod,
  parameters: Parameters,
  call: (parameters: Parameters, again: boolean) => Promise<Result>,
): Promise<Result> {
  const { hints = [] } = method;
  try {
    return await call(parameters, false);
  } catch (error) {
    const refused = refusedParameter(error);
    if (refused === null || !hints.includes(refused) || parameters[refused] === undefined) throw error;
    const others = Object.entries(parameters).filter(([name]) => !hints.includes(name));
    return await call(Object.fromEntries(others), true);
  }
}
