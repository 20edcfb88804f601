// Where the programs of this host are.

/** The directories of programs where the environment names none, as in units of services. */
export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Returns the path of an installed program, from its name or path; null where there is none. */
export function programPath(name: string): string | null {
  // Without $PATH, the engine finds no program here, but starts it.
  return Bun.which(name, { PATH: process.env["PATH"] || DEFAULT_PATH });
}
