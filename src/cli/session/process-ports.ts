// Implements Ports for a real process. Modules are imported when they are first used, so that short commands start
// fast.
import { lazy } from "../../base/lazy.ts";
import { isTerminal } from "../../kernel/terminal/is-terminal.ts";
import { listenForResize, waitForInterrupt } from "./interrupt.ts";
import type { Ports } from "./ports.ts";

/**
 * System calls on the standard streams, or the engine's modules for them if no process may make executable memory
 * (src/main.ts). Loaded in the turn of the first call, as its caller waits for the result: a command that prints
 * nothing does without.
 */
const streams = lazy((): typeof import("../../kernel/terminal/own-streams.ts") => {
  try {
    return require("../../kernel/terminal/own-streams.ts");
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "NoExecutableMemory") throw error;
    return require("./engine-calls.ts");
  }
});

/** Returns the ports of this process. */
export function processPorts(): Ports {
  return {
    env: process.env,
    euid: process.geteuid?.() ?? 0,
    account: async () => (await import("../../kernel/process/account.ts")).ownAccount(),
    isTty: isTerminal,
    ttyColumns: (fd) => streams().terminalColumns(fd),
    writeBrief: (bytes) => Bun.write(Bun.stdout, bytes),
    writeSome: (fd, bytes) => streams().writeSome(fd, bytes),
    nowUsec: () => BigInt(Date.now()) * 1000n,
    zone: async () => (await import("../format/time-zone.ts")).localZone(process.env["TZ"]),
    connectBus: async (target, use) =>
      use === "signals"
        ? (await import("../../ipc/bus/client.ts")).connectBus(target)
        : (await import("../../ipc/plain/client.ts")).connectPlainBus(target, use === "descriptors"),
    connectVarlink: async (path) => (await import("../../ipc/varlink/connect.ts")).connectVarlink(path),
    connectPlainVarlink: async (path) => (await import("../../ipc/varlink/plain.ts")).connectPlainVarlink(path),
    processName: async (pid, id) => (await import("../local/names.ts")).localProcessName(pid, id),
    interfaceName: async (ifindex) => (await import("../local/names.ts")).localInterfaceName(ifindex),
    localProcesses: async (unit, leader) => (await import("../local/processes.ts")).localProcesses(unit, leader),
    run: async (command) => (await import("./child.ts")).runChild(command),
    findPager: async (candidates) => (await import("./child.ts")).findPager(candidates),
    startAgent: async (command) => (await import("./agent-child.ts")).startAgentChild(command),
    openFile: async (file, use = "read") => (await import("../local/file-access.ts")).openUserFile(file, use),
    interrupted: waitForInterrupt,
    onResize: listenForResize,
    isThere: (path) => streams().isThere(path),
    hasContent: async (path) => (await import("../local/file-access.ts")).hasContent(path),
    isSameFile: async (path, other) => (await import("../local/file-access.ts")).isSameFile(path, other),
    readText: async (path) => (await import("./child.ts")).readTextFile(path),
  };
}
