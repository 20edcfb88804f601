// Errors between machinectl and the fleet: texts and hints for errors of NATS and of agents.
import { refusedSubject } from "./connect.ts";
import { FLEET_CONF } from "./settings.ts";

/** The command that shows the log of an agent. */
const LOG_COMMAND = "journalctl -u machined-fleet";

/** A failure of the fleet. The message says what failed and why, the hint what helps. */
export class FleetError extends Error {
  override readonly name = "FleetError";
  readonly hint: string | undefined;

  constructor(message: string, options: ErrorOptions & { readonly hint?: string | undefined } = {}) {
    super(message, options);
    this.hint = options.hint;
  }
}

/** The connection to the server was lost, or none was made: with another one, reading can be tried again. */
export class LostConnection extends FleetError {}

type NatsFailure = Error & { readonly code?: unknown; readonly status?: unknown };

/**
 * Whether an error of NATS may pass by itself. When a server of a cluster fails, another one answers in its place after
 * some seconds; until then requests to JetStream have no answer, or a refusal with the code 503.
 */
export function isPassing(error: unknown): boolean {
  const { name, code, status } = error as NatsFailure;
  return (
    name === "TimeoutError" ||
    name === "ReadingStopped" ||
    (name.startsWith("JetStream") && (code === 503 || status === 503))
  );
}

/** The same for messages to a stream, which then may have no responder; neither has one that was never made. */
export function isPassingForStream(error: unknown): boolean {
  const { name, message } = error as Error;
  return isPassing(error) || name === "JetStreamNotEnabled" || /no responders/i.test(message);
}

/**
 * Returns the error for a subject that the server refuses; it names the missing scope, or the permission for `machined
 * fleet setup`.
 */
function refusal(subject: string): FleetError {
  const makesStream = /^\$JS\.API\.STREAM\.(CREATE|UPDATE)\./.test(subject);
  const [, scope = "read"] = /^machined\.[^.]+\.(read|lifecycle|exec)\./.exec(subject) ?? [];
  const lacking = makesStream ? "may not make buckets and streams" : `does not have the scope '${scope}'`;
  const hint =
    "The administrator of the NATS server can permit it, in the permissions of this user in the server's configuration.";
  return new FleetError(`This user of NATS ${lacking}: the server refuses '${subject}'`, { hint });
}

/** Error codes of a connection that the server has closed; the engine reports EBADF for a later write. */
const CLOSED = ["EBADF", "ECONNRESET", "EPIPE"];
const UNKNOWN_AUTHORITY = /verify|self.signed|certificate/i;

/** Returns the reason of an error of NATS: its message, where that is clear. */
function reasonOf({ message, code }: NatsFailure): string {
  if (CLOSED.includes(String(code))) return "the server closed the connection before the login";
  if (message === "unable to parse credentials") return "CredentialsFile= names no .creds file of NATS";
  return message;
}

/** Returns what helps against an error of NATS; undefined where that is not known. */
function hintFor({ name, code, message }: NatsFailure): string | undefined {
  if (CLOSED.includes(String(code)))
    return "If it requires a client certificate, set TlsCertificateFile= and TlsKeyFile= to one that its authority has signed.";
  if (UNKNOWN_AUTHORITY.test(message))
    return "TlsCaFile= names the authority that has signed the server's certificate.";
  if (name === "AuthorizationError" || name === "UserAuthenticationExpiredError")
    return `Set the login, User= with PasswordFile= or CredentialsFile=, in the file of settings ('${FLEET_CONF}' unless another one is named).`;
  if (name === "ConnectionError" || name === "TimeoutError" || code === "ENOTFOUND" || code === "EAI_AGAIN")
    return "Check that the server runs, and that the address and the port are the server's.";
  return undefined;
}

/** Returns an error of NATS as a FleetError; `what` says what was tried. */
export function fleetError(what: string, error: unknown): FleetError {
  if (error instanceof FleetError) return error;
  const subject = refusedSubject(error);
  if (subject !== null) return refusal(subject);
  const { name, message } = error as Error;
  if (name === "JetStreamNotEnabled") {
    const hint =
      "The fleet keeps its records in JetStream: 'jetstream: { store_dir: DIR }' in its configuration enables it.";
    return new FleetError(`${what}: JetStream is not enabled on the NATS server`, { cause: error, hint });
  }
  if (/stream not found/i.test(message)) {
    const hint = "'machined fleet setup' makes them, once for each server, with a user of NATS who may do that.";
    return new FleetError(`${what}: the NATS server has no buckets and streams of machined`, { cause: error, hint });
  }
  return new FleetError(`${what}: ${reasonOf(error as Error)}`, { cause: error, hint: hintFor(error as Error) });
}

/** Returns the error for a host that did not answer within `timeoutMs`. */
export function askError(host: string, error: unknown, timeoutMs: number): FleetError {
  const { name, message } = error as Error;
  if (name === "NoRespondersError" || /no responders/i.test(message)) {
    const hint =
      "'machinectl --fleet list' shows the hosts that have one; on the host, 'systemctl status machined-fleet' shows the agent.";
    return new FleetError(`Host '${host}' has no agent in the fleet`, { cause: error, hint });
  }
  if (name === "TimeoutError") {
    const hint = `The request may have been carried out. On the host, '${LOG_COMMAND}' shows the log of the agent.`;
    return new FleetError(`Host '${host}' did not answer within ${timeoutMs / 1000} s`, { cause: error, hint });
  }
  return fleetError(`Cannot ask host '${host}'`, error);
}

/** Returns the error for an answer that cannot be read. */
export function answerError(host: string): FleetError {
  const hint = `Its machined may be of another version than this one; on the host, '${LOG_COMMAND}' shows the log of the agent.`;
  return new FleetError(`Host '${host}' sent an answer that is not understood`, { hint });
}

/** Returns the error for a connection that the server or the network ended. */
export function connectionEnded(): FleetError {
  const hint = "Try again: the server may have been restarted. A request that was sent may have been carried out.";
  return new LostConnection("The connection to the NATS server was lost", { hint });
}

/** Returns the error for the agent of a running command that sent nothing for `silenceMs`. */
export function silentHost(host: string, silenceMs: number): FleetError {
  const hint =
    "The agent ends the command when its caller is gone. 'machinectl --fleet list' shows whether the host is there.";
  return new FleetError(`Host '${host}' stopped answering: nothing was received from it for ${silenceMs / 1000} s`, {
    hint,
  });
}
