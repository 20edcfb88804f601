// machined-inventory: `machinectl inventory ansible` as a program of its own, because Ansible takes an inventory by the path
// of a program that it calls with `--list` or `--host NAME`.
import { processPorts } from "../session/process-ports.ts";
import { runMachinectl } from "./machinectl.ts";

/** Runs the program; returns its exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runMachinectl(["inventory", "ansible", ...args], processPorts());
}
