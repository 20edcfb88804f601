// Where `machined install` puts the executable, and where the C library looks for modules.

/** The executable, in a folder of its own: the daemons' names must not be in anybody's PATH, and the manifest stands beside it. */
export const INSTALLED_PROGRAM = "/usr/local/lib/machined/machined";

export const NSS_LIBRARY = "libnss_mymachines.so.2";
/** What nsswitch.conf calls it. */
export const NSS_WORD = "mymachines";
export const NSSWITCH = "/etc/nsswitch.conf";
/** Where the C library looks for its modules, the most particular first. */
export const LIBRARY_DIRECTORIES = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/lib/x86_64-linux-gnu",
  "/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/lib64",
  "/usr/lib",
];
