// Implements Ports for a real process. Modules are imported when they are first used, so that `list` starts fast.
import { ErrnoError } from "../../base/error.ts";
import { listenForResize, waitForInterrupt } from "./interrupt.ts";
import type { Ports } from "./ports.ts";

/** What the ports need of the kernel at once: all else is loaded when it is wanted. */
interface HostCalls {
  isTerminal(fd: number): boolean;
  /** Undefined where `fd` is no terminal. */
  terminalColumns(fd: number): number | undefined;
  readonly writeSome: Ports["writeSome"];
  isThere(path: string): boolean;
}

/** Returns the system calls themselves, or the engine's modules for them if no process may make executable memory (src/main.ts). */
async function hostCalls(): Promise<HostCalls> {
  try {
    return await import("../../kernel/terminal/own-streams.ts");
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "NoExecutableMemory") throw error;
    return import("./engine-calls.ts");
  }
}

/** Returns the ports of this process. */
export async function processPorts(): Promise<Ports> {
  const { isTerminal, terminalColumns, writeSome, isThere } = await hostCalls();
  return {
    env: process.env,
    euid: process.geteuid?.() ?? 0,
    account: async () => (await import("../../kernel/process/account.ts")).ownAccount(),
    isTty: isTerminal,
    ttyColumns: terminalColumns,
    writeSome,
    nowUsec: () => BigInt(Date.now()) * 1000n,
    zone: async () => (await import("../format/time-zone.ts")).localZone(process.env["TZ"]),
    connectBus: async (target) => (await import("../../ipc/bus/plain.ts")).connectPlainBus(target),
    connectVarlink: async (path) => (await import("../../ipc/varlink/connect.ts")).connectVarlink(path),
    connectPlainVarlink: async (path) => {
      // Managers before 256 have no such socket; then the Varlink client need not be loaded.
      if (!isThere(path)) throw new ErrnoError("ENOENT", `connect "${path}"`);
      return (await import("../../ipc/varlink/plain.ts")).connectPlainVarlink(path);
    },
    processName: async (pid) => (await import("./local-names.ts")).localProcessName(pid),
    interfaceName: async (ifindex) => (await import("./local-names.ts")).localInterfaceName(ifindex),
    localProcesses: async (unit, leader) => (await import("./local-processes.ts")).localProcesses(unit, leader),
    run: async (command) => (await import("./child.ts")).runChild(command),
    startPager: async (candidates) => (await import("./child.ts")).startPagerChild(candidates),
    startAgent: async (command) => (await import("./agent-child.ts")).startAgentChild(command),
    openFile: async (file, use = "read") => (await import("./file-access.ts")).openUserFile(file, use),
    interrupted: waitForInterrupt,
    onResize: listenForResize,
    isThere,
    readText: async (path) => (await import("./child.ts")).readTextFile(path),
  };
}
