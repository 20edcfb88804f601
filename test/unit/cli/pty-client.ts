// machinectl as a child process on terminals of a test. The machine manager is simulated; descriptor 3 is the master
// that it returns. SIGUSR2 stands for the end of the machine.

import { runMachinectl } from "../../../src/cli/program/machinectl.ts";
import type { Ports } from "../../../src/cli/session/ports.ts";
import { processPorts } from "../../../src/cli/session/process-ports.ts";
import { Fd } from "../../../src/kernel/file/fd.ts";

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

process.exit(await runMachinectl(process.argv.slice(2), ports));
