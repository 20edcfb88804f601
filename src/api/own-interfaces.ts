// The Varlink interfaces that are not part of systemd, for their documentation.
import { IoMachinedEvents } from "./io-machined-events.ts";
import { IoMachinedExec } from "./io-machined-exec.ts";
import { IoMachinedImport } from "./io-machined-import.ts";
import { IoMachinedMachine } from "./io-machined-machine.ts";
import { IoMachinedStats } from "./io-machined-stats.ts";
import type { VarlinkInterface } from "./varlink-table.ts";

export const OWN_INTERFACES: readonly VarlinkInterface[] = [
  IoMachinedEvents,
  IoMachinedExec,
  IoMachinedImport,
  IoMachinedMachine,
  IoMachinedStats,
];
