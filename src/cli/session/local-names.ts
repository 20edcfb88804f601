// Looks up the names of processes and network interfaces of this host by the numbers that the manager reports.

import { processComm } from "../../kernel/process/process-file.ts";
import { interfaceName } from "../../kernel/socket/interface-name.ts";

function orNull<T>(read: () => T | null): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** Returns the name of a process, or null if it cannot be read. */
export function localProcessName(pid: number): string | null {
  return orNull(() => processComm(pid));
}

/** Returns the name of a network interface, or null if none has that index. */
export function localInterfaceName(ifindex: number): string | null {
  return orNull(() => interfaceName(ifindex));
}
