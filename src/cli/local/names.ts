// Looks up the names of processes and network interfaces of this host by the numbers that the manager reports.

/**
 * Returns the name of a process, or null if it cannot be read. Read by the engine: the kernel layer takes longer to
 * load.
 */
export async function localProcessName(pid: number): Promise<string | null> {
  try {
    return (await Bun.file(`/proc/${pid}/comm`).text()).replace(/\n$/, "");
  } catch {
    return null;
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
