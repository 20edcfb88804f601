// Opens parts of a machine: its root directory, a pseudo terminal, one with a login prompt on it, one with a program
// (org.freedesktop.machine1(5), OpenMachineRootDirectory(), OpenMachinePTY(), OpenMachineLogin(), OpenMachineShell()).
import { type Fd, setNonblocking } from "../../kernel/file/fd.ts";
import { openPtyPeer, type Pty } from "../../kernel/terminal/pty.ts";
import { unsupported } from "../../registry/machine/errors.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { defineAction } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { grantOn } from "../action/machine-grant.ts";
import { withMachineBus } from "./machine-bus.ts";
import { openPtyIn } from "./machine-pty.ts";
import { openInMachine } from "./open-in-machine.ts";
import { grantToOpen, refuseForeignHostRoot } from "./permission.ts";
import { HOST_ROOT } from "./root-identity.ts";
import { requestedUser, type ShellRequest, shellUnit } from "./shell-request.ts";
import { startGetty, startShell } from "./shell-unit.ts";

/** Opens the root directory of a machine, as its processes see it, for reading. */
export const openRootDirectory = defineAction({
  prepare(daemon, { name }: { name: string }) {
    const machine = daemon.registry.get(name);
    if (machine.class === "vm") {
      throw unsupported("Opening the root directory is only supported on container machines.");
    }
    return { subject: machine, grant: grantOn(machine) };
  },
  async run(daemon, { subject: machine }): Promise<Fd> {
    const opening = { path: "/", kind: "directory", identity: HOST_ROOT } as const;
    const directory = await openInMachine(daemon.operations, machine, opening);
    // As systemd passes it.
    setNonblocking(directory, "off");
    return directory;
  },
});

/** Opens a new pseudo terminal of the machine; nothing runs on it yet. */
export const openPty = defineAction({
  prepare(daemon, { name }: { name: string }) {
    const machine = daemon.registry.get(name);
    requireTerminals(machine);
    return { subject: machine, grant: grantToOpen(machine, "tty") };
  },
  run: (daemon, { subject: machine }): Promise<Pty> => openPtyIn(daemon.operations, machine),
});

/** Opens a new pseudo terminal with a login prompt. */
export const openLogin = defineAction({
  prepare(daemon, { name }: { name: string }) {
    const machine = daemon.registry.get(name);
    requireTerminals(machine);
    return { subject: machine, grant: grantToOpen(machine, "login") };
  },
  run: (daemon, { subject: machine }): Promise<Pty> =>
    onNewPty(daemon, machine, (pty) => withMachineBus(daemon, machine, (call) => startGetty(call, pty.path))),
});

/** Opens a new pseudo terminal with a program on it, or with a user's shell. */
export const openShell = defineAction({
  prepare(daemon, request: ShellRequest & { name: string }) {
    const machine = daemon.registry.get(request.name);
    requireTerminals(machine);
    requestedUser(request.user);
    refuseForeignHostRoot(machine);
    const unit = shellUnit(request);
    const { path: program, argv } = unit.program;
    const details = { user: unit.user, program, command_line: argv.join(" ") };
    return { subject: machine, unit, grant: grantToOpen(machine, "shell", details) };
  },
  run: (daemon, { subject: machine, unit }): Promise<Pty> =>
    onNewPty(daemon, machine, (pty) =>
      withMachineBus(
        daemon,
        machine,
        async (call) => {
          using terminal = openPtyPeer(pty.master);
          await startShell(call, unit, pty.path, terminal);
        },
        { passesDescriptors: true },
      ),
    ),
});

/** Opens a pseudo terminal and starts a unit on it; closes the terminal when that fails. */
async function onNewPty(daemon: Daemon, machine: Machine, start: (pty: Pty) => Promise<void>): Promise<Pty> {
  const pty = await openPtyIn(daemon.operations, machine);
  try {
    await start(pty);
    return pty;
  } catch (error) {
    pty.master.close();
    throw error;
  }
}

/** Throws for virtual machines, whose terminals the host cannot reach. */
function requireTerminals(machine: Machine): void {
  if (machine.class === "vm") throw unsupported();
}
