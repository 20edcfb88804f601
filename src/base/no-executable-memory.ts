// What is said where the program may not make memory executable, which its calls to the kernel need
// (docs/decisions/0006-no-memory-deny-write-execute.md).

/** Recognised by its name, so that nothing need be loaded to look at it. */
export class NoExecutableMemory extends Error {
  override readonly name = "NoExecutableMemory";
}

/** The unit of a process by its /proc/PID/cgroup; null outside of units. */
export function unitInCgroup(text: string): string | null {
  const paths = [...text.matchAll(/^(?:0:|\d+:name=systemd):(.*)$/gm)].map(([, path = ""]) => path);
  return paths.flatMap((path) => path.split("/")).findLast((part) => /\.(service|scope)$/.test(part)) ?? null;
}

/** What is wrong, and what helps. */
export function executableMemoryAdvice(program: string, unit: string | null): string {
  const whose = unit === null ? "its unit" : `the unit '${unit}'`;
  return (
    `${program}: Cannot call the kernel: executable memory is forbidden, as by MemoryDenyWriteExecute=yes of ${whose}. ` +
    `Add a drop-in to ${unit === null ? "the unit" : "it"} with the lines [Service] and MemoryDenyWriteExecute=no.`
  );
}
