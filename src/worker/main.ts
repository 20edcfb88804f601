// The short-lived processes that do the daemon's long work: machined-worker OPERATION ARGUMENT…
// They are started by src/registry/operation.ts and end with the daemon.

/** Operations → their entry points, which give the exit code. Each is loaded when it is wanted. */
const OPERATIONS: Readonly<Record<string, () => Promise<{ main(args: string[]): Promise<number> }>>> = {
  "copy-files": () => import("./copy-files.ts"),
  "bind-mount": () => import("./bind-mount.ts"),
  reach: () => import("./reach.ts"),
  clone: () => import("./clone.ts"),
  "copy-helper": () => import("./copy-helper.ts"),
  remove: () => import("./remove.ts"),
  mark: () => import("./mark.ts"),
  limit: () => import("./limit.ts"),
  clean: () => import("./clean.ts"),
  sweep: () => import("./sweep.ts"),
  "disk-metadata": () => import("./disk-metadata.ts"),
};

/** Runs one operation with its arguments; gives the exit code. */
export async function main(args: string[]): Promise<number> {
  const [name = "", ...rest] = args;
  const load = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  if (load === undefined) {
    process.stderr.write("machined-worker: started by systemd-machined, not by hand\n");
    return 1;
  }
  return (await load()).main(rest);
}
