// The names of buses and services in messages, and the advice for a bus that cannot be reached.
import { errnoNameOf } from "../../base/error.ts";
import type { BusTarget } from "../../ipc/bus/transport.ts";
import { reasonOf } from "./failure.ts";

/** The name of the machine manager in messages. */
export const MANAGER_NAME = "systemd-machined";

/** Returns the name of a connection's peer for messages. */
export function busName(target: BusTarget): string {
  if (target.kind === "private") return target.path.endsWith("/import/private") ? "systemd-importd" : MANAGER_NAME;
  return target.kind === "machine" ? `the message bus of machine '${target.name}'` : "the message bus";
}

/** Returns a more precise reason than the errno's text for a bus that cannot be reached, or null. */
export function adviceOn(target: BusTarget, error: unknown): string | null {
  // ENOMEDIUM: the environment does not say where the user's bus is; the error's own message names the variables to
  // set.
  if (error instanceof Error && errnoNameOf(error) === "ENOMEDIUM") return error.message;
  if (target.kind === "ssh") {
    const cause = causeOnHost(error);
    return cause === null ? null : `${reasonOf(error)} (${cause})`;
  }
  const isLogin = target.kind === "login" && errnoNameOf(error) === "ECONNRESET";
  if (!isLogin) return null;
  const where = target.machine === ".host" ? "this host" : `machine '${target.machine}'`;
  return `${reasonOf(error)} (systemd-run reached no ${target.scope} bus as user '${target.user}' of ${where})`;
}

/**
 * Returns a hint for errors whose text misleads but stays as the original prints it: EHOSTDOWN for an unknown machine.
 */
export function hintOn(target: BusTarget | null, error: unknown): string | undefined {
  if (target?.kind !== "machine") return undefined;
  const { name } = target;
  switch (errnoNameOf(error)) {
    case "EHOSTDOWN":
      return `No machine '${name}' is registered. 'machinectl list' shows the machines of this host.`;
    case "ENOENT":
      return `Machine '${name}' has no system bus: it does not run one, or has not started it yet.`;
    default:
      return undefined;
  }
}

/** The text of a handshake that failed: what the other side said in place of the answer. */
const REFUSED = /bus refused the authentication: "((?:[^"\\]|\\.)*)"/;
const MOST_SAID = 60;

/** Returns what is wrong with a host that ssh(1) has reached, where that is known; else null. */
function causeOnHost(error: unknown): string | null {
  const { message } = error as Error;
  if (message.includes("authentication timed out")) return "the host, or its ssh server, did not answer in time";
  const [, said] = REFUSED.exec(message) ?? [];
  if (said === undefined || said.startsWith("REJECTED")) return null;
  const line = said.split(/\\[rn]/)[0]?.slice(0, MOST_SAID);
  return `the login shell of the host printed '${line}' before the message bus answered: what it prints is for terminals only`;
}
