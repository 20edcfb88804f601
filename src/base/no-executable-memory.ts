// The error for processes that may not map executable memory, which system calls of this program need
// (docs/decisions/0006-no-memory-deny-write-execute.md).

/** Handlers recognise it by `name`, so that they need not import this class. */
export class NoExecutableMemory extends Error {
  override readonly name = "NoExecutableMemory";
}

/** Returns the innermost service or scope in the text of /proc/PID/cgroup; null where there is none. */
export function unitInCgroup(text: string): string | null {
  const paths = [...text.matchAll(/^(?:0:|\d+:name=systemd):(.*)$/gm)].map(([, path = ""]) => path);
  return paths.flatMap((path) => path.split("/")).findLast((part) => /\.(service|scope)$/.test(part)) ?? null;
}

/**
 * Returns the message for the user: the cause and the drop-in that helps. `unit` is the unit of the process, if known.
 */
export function executableMemoryAdvice(program: string, unit: string | null): string {
  const whose = unit === null ? "its unit" : `the unit '${unit}'`;
  return (
    `${program}: Cannot call the kernel: executable memory is forbidden, as by MemoryDenyWriteExecute=yes of ${whose}. ` +
    `Add a drop-in to ${unit === null ? "the unit" : "it"} with the lines [Service] and MemoryDenyWriteExecute=no.`
  );
}
