// Doors into a machine that need nobody inside it: its root directory, a new pseudo terminal
// (org.freedesktop.machine1(5), OpenMachineRootDirectory() and OpenMachinePTY()).
import type { Fd } from "../kernel/fd.ts";
import type { Pty } from "../kernel/pty.ts";
import type { Machine } from "../registry/machine.ts";
import { openRoot } from "../registry/os-release.ts";
import { unsupported } from "../registry/registry.ts";
import { defineAction } from "./action.ts";
import { manage } from "./lifecycle.ts";
import { openPtyIn } from "./machine-pty.ts";
import { permissionToOpen } from "./open-permission.ts";

/** The root directory of a machine as its processes see it, opened for reading. */
export const openRootDirectory = defineAction({
  prepare(daemon, { name }: { name: string }, call) {
    const machine = daemon.registry.get(name);
    if (machine.class === "vm") {
      throw unsupported("Opening the root directory is only supported on container machines.");
    }
    return { machine, permission: manage(machine, "open_root_directory", call) };
  },
  run: (_daemon, { machine }): Fd =>
    machine.isHost ? openRoot(machine) : machine.leader.verified(() => openRoot(machine)),
});

/** A new pseudo terminal of the machine; nothing runs on it yet. */
export const openPty = defineAction({
  prepare(daemon, { name }: { name: string }) {
    const machine = daemon.registry.get(name);
    requireTerminals(machine);
    return { machine, permission: permissionToOpen(machine, "open-pty") };
  },
  run: (_daemon, { machine }): Pty => openPtyIn(machine),
});

/** A virtual machine has its terminals behind its console. */
export function requireTerminals(machine: Machine): void {
  if (machine.class === "vm") throw unsupported();
}
