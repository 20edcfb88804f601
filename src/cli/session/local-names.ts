// Names of processes and network interfaces of this host, for the numbers a manager tells.

import { processComm } from "../../kernel/process/process-file.ts";
import { interfaceName } from "../../kernel/socket/interface-name.ts";

function orNull<T>(read: () => T | null): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** The name of a process, or null when there is none to see. */
export function localProcessName(pid: number): string | null {
  return orNull(() => processComm(pid));
}

/** The name of a network interface, or null when there is none of that number. */
export function localInterfaceName(ifindex: number): string | null {
  return orNull(() => interfaceName(ifindex));
}
