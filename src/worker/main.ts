// machined-worker OPERATION ARGUMENT…: a short-lived process for one operation of the daemon. src/registry/operation.ts
// starts it; it ends with the daemon.

import { printError } from "../kernel/terminal/print.ts";

/** The entry points of operations, which return the exit code. Each is loaded when it is called. */
const OPERATIONS: Readonly<Record<string, () => Promise<{ main(args: string[]): Promise<number> }>>> = {
  "copy-files": () => import("./operations/copy-files.ts"),
  "bind-mount": () => import("./operations/bind-mount.ts"),
  "open-in-machine": () => import("./operations/open-in-machine.ts"),
  clone: () => import("./operations/clone.ts"),
  "copy-helper": () => import("./operations/copy-helper.ts"),
  remove: () => import("./operations/remove.ts"),
  "set-read-only": () => import("./operations/set-read-only.ts"),
  "set-limit": () => import("./operations/set-limit.ts"),
  clean: () => import("./operations/clean.ts"),
  "remove-leftovers": () => import("./operations/remove-leftovers.ts"),
  "disk-metadata": () => import("./operations/disk-metadata.ts"),
};

/** Runs one operation with its arguments; returns the exit code. */
export async function main(args: string[]): Promise<number> {
  const [name = "", ...rest] = args;
  const load = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  if (load === undefined) {
    printError("machined-worker: started by systemd-machined, not by hand\n");
    return 1;
  }
  return (await load()).main(rest);
}
