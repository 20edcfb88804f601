// The errors of the registry.
import { MachinedError } from "../../base/error.ts";

export function machineExists(name: string): MachinedError {
  return new MachinedError("MachineExists", `Machine '${name}' already exists`);
}

export function unsupported(message = "Operation not supported"): MachinedError {
  return new MachinedError("NotSupported", message);
}
