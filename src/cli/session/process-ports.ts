// Implements Ports for a real process. Modules are imported when they are first used, so that `list` starts fast.
import { existsSync, fstatSync, writeSync } from "node:fs";
import { ErrnoError } from "../../base/error.ts";
import { listenForResize, waitForInterrupt } from "./interrupt.ts";
import type { Ports } from "./ports.ts";

/** Character devices that are terminals: consoles and serial lines, /dev/tty, pseudo terminals (devices.txt). */
function isTerminalMajor(major: number): boolean {
  return major === 4 || major === 5 || (major >= 136 && major <= 143);
}

const MEMORY_MAJOR = 1;

/**
 * isatty(3). Loading node:tty takes half of the time of a short command, so the device number decides where it can: it
 * is loaded only for character devices that are neither a usual terminal nor a memory device such as /dev/null.
 */
function isTerminal(fd: number): boolean {
  try {
    const status = fstatSync(fd);
    if (!status.isCharacterDevice()) return false;
    const major = (status.rdev >> 8) & 0xfff;
    if (isTerminalMajor(major) || major === MEMORY_MAJOR) return major !== MEMORY_MAJOR;
    return process.getBuiltinModule("node:tty").isatty(fd);
  } catch {
    return false;
  }
}

/** Returns the ports of this process. */
export function processPorts(): Ports {
  return {
    env: process.env,
    euid: process.geteuid?.() ?? 0,
    account: async () => (await import("../../kernel/process/account.ts")).ownAccount(),
    isTty: isTerminal,
    ttyColumns: (fd) => (fd === 1 ? process.stdout : process.stderr).columns,
    writeSome: (fd, bytes) => writeSync(fd, bytes),
    nowUsec: () => BigInt(Date.now()) * 1000n,
    zone: async () => (await import("../format/time-zone.ts")).localZone(process.env["TZ"]),
    connectBus: async (target) => (await import("../../ipc/bus/client.ts")).connectBus(target),
    connectVarlink: async (path) => (await import("../../ipc/varlink/connect.ts")).connectVarlink(path),
    connectPlainVarlink: async (path) => {
      // Managers before 256 have no such socket; then the Varlink client need not be loaded.
      if (!existsSync(path)) throw new ErrnoError("ENOENT", `connect "${path}"`);
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
    isThere: existsSync,
    readText: async (path) => (await import("./child.ts")).readTextFile(path),
  };
}
