// machinectl as a child process on terminals of a test. The machine manager is simulated; descriptor 3 is the master
// that it returns. SIGUSR2 stands for the end of the machine. With the argument `exec`, the master is that of a command
// of `exec -t`, which ends when it gets a signal. With `ended`, the terminal alone is forwarded, and SIGUSR2 says that
// the machine has ended and that no hang-up is waited for.

import { orExitOurs } from "../../../src/cli/exec/order.ts";
import { forwardTerminal } from "../../../src/cli/exec/terminal.ts";
import { runMachinectl } from "../../../src/cli/program/machinectl.ts";
import type { Ports } from "../../../src/cli/session/ports.ts";
import { processPorts } from "../../../src/cli/session/process-ports.ts";
import { Session } from "../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../src/cli/session/settings.ts";
import { PtySession } from "../../../src/cli/terminal/pty-forward.ts";
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

async function untilEnded(): Promise<number> {
  const forward = new PtySession({ master: Fd.inherited(3), hangup: "ends", env: process.env, finish: () => {} });
  process.on("SIGUSR2", () => forward.expectHangup(0));
  return (await forward.run()).status;
}

const args = process.argv.slice(2);
const modes: Readonly<Record<string, () => Promise<number>>> = { exec: onTerminal, ended: untilEnded };
process.exit(await (modes[args[0] ?? ""]?.() ?? runMachinectl(args, ports)));
