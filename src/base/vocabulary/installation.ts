// Where `machined install` puts the executable, and where the C library looks for modules.

/**
 * The executable. It has a directory of its own for the manifest and for the daemons' names, which must not be in
 * $PATH.
 */
export const INSTALLED_PROGRAM = "/usr/local/lib/machined/machined";
/** The executable of a package. */
export const PACKAGED_PROGRAM = "/usr/lib/machined/machined";

/** Returns the executable that is installed, which only root can write; null where there is none. */
export function installedProgram(isThere: (path: string) => boolean): string | null {
  return [INSTALLED_PROGRAM, PACKAGED_PROGRAM].find(isThere) ?? null;
}

export const NSS_LIBRARY = "libnss_mymachines.so.2";
/** The name of the module in nsswitch.conf. */
export const NSS_WORD = "mymachines";
export const NSSWITCH = "/etc/nsswitch.conf";
/** Where the C library looks for its modules, the most specific first. */
export const LIBRARY_DIRECTORIES = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/lib/x86_64-linux-gnu",
  "/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/lib64",
  "/usr/lib",
];
