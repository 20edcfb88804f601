// What goes wrong between machinectl and the fleet, in words.
import { refusedSubject } from "./connect.ts";

/** Something that the fleet cannot do. The message says what and why. */
export class FleetError extends Error {
  override readonly name = "FleetError";
  readonly hint: string | undefined;

  constructor(message: string, options: ErrorOptions & { readonly hint?: string } = {}) {
    super(message, options);
    this.hint = options.hint;
  }
}

/** Says which scope an account lacks that may not use a subject. */
function refusal(subject: string): FleetError {
  const [, , scope] = /^machined\.([^.]+)\.(read|lifecycle|exec)\./.exec(subject) ?? [];
  const lacking = scope ?? "read";
  return new FleetError(`This user of NATS does not have the scope '${lacking}': the server refuses '${subject}'`);
}

/** An error of NATS as one that says what was tried. */
export function fleetError(what: string, error: unknown): FleetError {
  if (error instanceof FleetError) return error;
  const subject = refusedSubject(error);
  if (subject !== null) return refusal(subject);
  const { name, message } = error as Error;
  if (/stream not found/i.test(message) || name === "JetStreamNotEnabled") {
    const hint = "'machined fleet setup' makes its buckets and streams, once.";
    return new FleetError(`${what}: the server has nothing of machined`, { cause: error, hint });
  }
  return new FleetError(`${what}: ${message}`, { cause: error });
}

/** Why a host did not answer. */
export function askError(host: string, error: unknown, timeoutMs: number): FleetError {
  const { name, message } = error as Error;
  if (name === "NoRespondersError" || /no responders/i.test(message)) {
    const hint =
      "'machinectl --fleet list' shows the hosts that are there; on the host, machined-fleet.service is the agent.";
    return new FleetError(`Host '${host}' has no agent in the fleet`, { cause: error, hint });
  }
  if (name === "TimeoutError")
    return new FleetError(`Host '${host}' did not answer within ${timeoutMs / 1000} s`, { cause: error });
  return fleetError(`Cannot ask host '${host}'`, error);
}
