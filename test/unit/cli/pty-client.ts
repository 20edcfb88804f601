// machinectl as a child process on terminals of a test. The machine manager is simulated; descriptor 3 is the master
// that it returns. SIGUSR2 stands for the end of the machine. With the argument `exec`, the master is that of a command
// of `exec -t`, which ends when it gets a signal; with `exec-deaf` it does not. With `ended`, the terminal alone is
// forwarded, and SIGUSR2 says that the machine has ended and that no hang-up is waited for.

import { Variant } from "../../../src/base/variant.ts";
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
import { FakeBusError } from "./fake-managers.ts";

const TERMINAL = "/dev/pts/9";

/** The names of machines, whose leader is this process. */
const MACHINES = (process.env["TEST_MACHINES"] ?? "").split(",").filter((name) => name !== "");

function propertiesOf(name: string): ReadonlyMap<string, Variant> {
  return new Map([
    ["Name", new Variant("s", name)],
    ["Leader", new Variant("u", process.pid)],
  ]);
}

const ports: Ports = {
  ...processPorts(),
  euid: 0,
  connectBus: async () => ({
    call: async ({ member, path, body = [] }) => {
      if (/^OpenMachine(Login|Shell)$/.test(member)) return [Fd.inherited(3), TERMINAL];
      if (member === "ListMachines") return [MACHINES.map((name) => [name, "container", "", `/${name}`])];
      if (member === "GetMachine") return [`/${String(body[0])}`];
      if (member === "GetAll") return [propertiesOf(path.slice(path.lastIndexOf("/") + 1))];
      // The addresses of the first machine are known, those of others take forever.
      if (member === "GetMachineAddresses" && body[0] !== MACHINES[0]) return new Promise<never>(() => {});
      if (member === "GetMachineAddresses") return [[[2, new Uint8Array([10, 0, 0, 1])]]];
      throw new FakeBusError("org.freedesktop.DBus.Error.UnknownMethod", `no ${member}`);
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
async function onTerminal(hears: "hears" | "deaf"): Promise<number> {
  const session = new Session(defaultSettings(), ports);
  const exited = Promise.withResolvers<number>();
  const run = () =>
    forwardTerminal(session, (socket) => {
      using own = socket;
      using master = Fd.inherited(3);
      sendMessage(own, Buffer.from("t"), [master]);
      return { exited: exited.promise, kill: (signal) => void (hears === "hears" && exited.resolve(128 + signal)) };
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
const modes: Readonly<Record<string, () => Promise<number>>> = {
  exec: () => onTerminal("hears"),
  "exec-deaf": () => onTerminal("deaf"),
  ended: untilEnded,
};
process.exit(await (modes[args[0] ?? ""]?.() ?? runMachinectl(args, ports)));
