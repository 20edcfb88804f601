// The errors of the registry.
import { MachinedError } from "../../base/error.ts";

export function machineExists(name: string): MachinedError {
  return new MachinedError("MachineExists", `Machine '${name}' already exists`);
}

export function unsupported(message = "Operation not supported"): MachinedError {
  return new MachinedError("NotSupported", message);
}

/** The error for a machine that is not registered, where a call names it in several ways. */
export function noSuchMachine(): MachinedError {
  return new MachinedError("NoSuchMachine", "No such machine");
}
