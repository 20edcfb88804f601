// Finds the control socket of a machine: the Varlink socket (io.systemd.MachineInstance) of its supervisor, whose path
// was registered with the manager.
import { errnoText } from "../../base/errno.ts";
import { ERRORS } from "../../base/error.ts";
import { Failure, isVarlinkFailure, meansNoMachine } from "../session/failure.ts";
import type { Varlink } from "../session/ports.ts";

const NOT_OFFERED = ["MethodNotFound", "InterfaceNotFound", "MethodNotImplemented"].map(
  (n) => `org.varlink.service.${n}`,
);

/**
 * Returns the path of a machine's control socket; null if the machine has none or the manager does not have the call.
 * Throws a Failure for an unknown machine and an invalid name. With `printsErrorId`, its reason is the id of the
 * Varlink error, as the original prints it for some verbs.
 */
export async function controlAddress(
  manager: Varlink,
  name: string,
  { printsErrorId = false } = {},
): Promise<string | null> {
  try {
    const { controlAddress: address } = await manager.call("io.systemd.Machine.List", { name });
    return typeof address === "string" && address !== "" ? address.replace(/^unix:/, "") : null;
  } catch (error) {
    if (!isVarlinkFailure(error) || NOT_OFFERED.includes(error.id)) return null;
    const reason = printsErrorId ? error.id : reasonInWords(error, name);
    throw new Failure(`Failed to look up machine '${name}': ${reason}`, { cause: error, hint: hintOnName(name) });
  }
}

function reasonInWords(error: Error & { readonly id: string }, name: string): string {
  if (meansNoMachine(error)) return `No machine '${name}' known`;
  return error.id === ERRORS.InvalidArgs.varlink ? errnoText("EINVAL") : error.id;
}

/** Returns the hint for an error about a machine with an empty name, which a variable of a script may be. */
export function hintOnName(name: string): string | undefined {
  return name === "" ? "The name of a machine must not be empty." : undefined;
}

/** Returns the Failure of a verb that needs a control socket, for a machine without one. */
export function noControlSocket(name: string): Failure {
  const hint = "Only virtual machines whose supervisor offers a control socket can do this.";
  return new Failure(`Machine '${name}' does not expose a varlink control socket.`, { hint });
}
