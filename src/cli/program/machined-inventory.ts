// machined-inventory: `machinectl inventory ansible` as a program, because Ansible accepts as inventory only the path
// of a program, which it calls with `--list` or `--host NAME`.
import { processPorts } from "../session/process-ports.ts";
import { runMachinectl } from "./machinectl.ts";

/** The entry point of the program; returns the exit status. */
export async function main(args: readonly string[]): Promise<number> {
  return runMachinectl(["inventory", "ansible", ...args], processPorts());
}
