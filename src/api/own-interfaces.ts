// The Varlink interfaces that are not part of systemd, for their documentation.
import { IoMachinedEvents } from "./varlink/io-machined-events.ts";
import { IoMachinedExec } from "./varlink/io-machined-exec.ts";
import { IoMachinedImport } from "./varlink/io-machined-import.ts";
import { IoMachinedMachine } from "./varlink/io-machined-machine.ts";
import { IoMachinedStats } from "./varlink/io-machined-stats.ts";
import type { VarlinkInterface } from "./varlink-table.ts";

export const OWN_INTERFACES: readonly VarlinkInterface[] = [
  IoMachinedEvents,
  IoMachinedExec,
  IoMachinedImport,
  IoMachinedMachine,
  IoMachinedStats,
];
