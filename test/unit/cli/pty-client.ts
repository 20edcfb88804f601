// machinectl as a child process on terminals of a test. The machine manager is simulated; descriptor 3 is the master
// that it returns. SIGUSR2 stands for the end of the machine. With the argument `exec`, the master is that of a command
// of `exec -t`, which ends when it gets a signal.

import { orExitOurs } from "../../../src/cli/exec/order.ts";
import { forwardTerminal } from "../../../src/cli/exec/terminal.ts";
import { runMachinectl } from "../../../src/cli/program/machinectl.ts";
import type { Ports } from "../../../src/cli/session/ports.ts";
import { processPorts } from "../../../src/cli/session/process-ports.ts";
import { Session } from "../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../src/cli/session/settings.ts";
import { Fd } from "../../../src/kernel/file/fd.ts";
import { sendMessage } from "../../../src/kernel/socket/send.ts";

const TERMINAL = "/dev/pts/9";

const ports: Ports = {
  ...processPorts(),
  euid: 0,
  connectBus: async () => ({
    call: async ({ member }) => {
      if (/^OpenMachine(Login|Shell)$/.test(member)) return [Fd.inherited(3), TERMINAL];
      if (member === "ListMachines") return [[]];
      throw new Error(`no ${member}`);
    },
    subscribe: async (_rule, handler) => {
      process.on("SIGUSR2", () => handler(["alpha", "/"], { path: "/", sender: "", member: "MachineRemoved" }));
      return async () => {};
    },
    onClose: () => {},
    close: () => {},
  }),
};

/** Runs a command that has the terminal. */
async function onTerminal(): Promise<number> {
  const session = new Session(defaultSettings(), ports);
  const exited = Promise.withResolvers<number>();
  const run = () =>
    forwardTerminal(session, (socket) => {
      using own = socket;
      using master = Fd.inherited(3);
      sendMessage(own, Buffer.from("t"), [master]);
      return { exited: exited.promise, kill: (signal) => exited.resolve(128 + signal) };
    });
  const status = await orExitOurs(session, run);
  await session.close();
  return status;
}

const args = process.argv.slice(2);
process.exit(await (args[0] === "exec" ? onTerminal() : runMachinectl(args, ports)));
