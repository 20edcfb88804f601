// The control socket that a machine may have of its own (io.systemd.MachineInstance), as the manager names it.
import { Failure, isVarlinkFailure } from "../session/failure.ts";
import type { Varlink } from "../session/ports.ts";

const NOT_OFFERED = ["MethodNotFound", "InterfaceNotFound", "MethodNotImplemented"].map(
  (n) => `org.varlink.service.${n}`,
);

/**
 * The control socket of a machine, or null where it has none, or where the manager has no Varlink to ask. Throws a
 * Failure for a machine that is not known.
 */
export async function controlAddress(manager: Varlink, name: string): Promise<string | null> {
  try {
    const { controlAddress: address } = await manager.call("io.systemd.Machine.List", { name });
    return typeof address === "string" && address !== "" ? address.replace(/^unix:/, "") : null;
  } catch (error) {
    if (!isVarlinkFailure(error) || NOT_OFFERED.includes(error.id)) return null;
    throw new Failure(`Failed to look up machine '${name}': ${error.id}`, { cause: error });
  }
}

/** For what only a control socket can do. */
export function noControlSocket(name: string): Failure {
  return new Failure(`Machine '${name}' does not expose a varlink control socket.`);
}
