// Enumerations that describe machines in interfaces and state files.
import { defineStringTable } from "../string-table.ts";

/** What a machine is. Only the first two can be registered: `host` is the built-in `.host`. */
export const MACHINE_CLASSES = defineStringTable(["container", "vm", "host"]);
export type MachineClass = (typeof MACHINE_CLASSES.values)[number];

/** The receivers of a signal. */
export const KILL_WHOM = defineStringTable(["leader", "supervisor", "all"]);
