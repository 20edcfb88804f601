// Looks up the names of processes and network interfaces of this host by the numbers that the manager reports.

/**
 * Returns the name of a process, or null if it cannot be read, or if the process has another pidfd than that with the
 * id. Read by the engine: the kernel layer takes longer to load.
 */
export async function localProcessName(pid: number, pidfdId: bigint | null = null): Promise<string | null> {
  if (pidfdId !== null && !(await hasPidfdId(pid, pidfdId))) return null;
  try {
    return (await Bun.file(`/proc/${pid}/comm`).text()).replace(/\n$/, "");
  } catch {
    return null;
  }
}

/** Whether the process has a pidfd with this id; true before Linux 6.9, which has no ids. */
async function hasPidfdId(pid: number, id: bigint): Promise<boolean> {
  const { PidRef } = await import("../../kernel/process/pidref.ts");
  try {
    using process = PidRef.of(pid);
    return process.id === null || process.id === id;
  } catch {
    return false;
  }
}

/** Returns the name of a network interface, or null if none has that index. */
export async function localInterfaceName(ifindex: number): Promise<string | null> {
  const { interfaceName } = await import("../../kernel/socket/interface-name.ts");
  try {
    return interfaceName(ifindex);
  } catch {
    return null;
  }
}
