// The directory of the daemons' sockets: /run/systemd, or $MACHINED_RUNTIME_DIRECTORY for a run beside another daemon.

/** Returns the base directory of sockets and state files, without a slash at its end. */
export function runtimeDirectory(): string {
  return process.env["MACHINED_RUNTIME_DIRECTORY"] || "/run/systemd";
}
