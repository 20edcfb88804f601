// Mounts the FUSE file system of full-file-system.py, which reports that it is full only when a file is closed. Needs
// root and python3.
import { mkdirSync } from "node:fs";
import { join } from "node:path";

interface FullFileSystem extends Disposable {
  readonly path: string;
}

/** Mounts the file system on a new directory `path`. Disposing unmounts it. */
export async function mountFull(path: string): Promise<FullFileSystem> {
  mkdirSync(path);
  const child = Bun.spawn(["python3", join(import.meta.dir, "full-file-system.py"), path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { done } = await child.stdout.getReader().read();
  if (done) throw new Error("The file system was not mounted");
  const dispose = () => {
    child.kill("SIGKILL");
    Bun.spawnSync(["umount", "-l", path]);
  };
  return { path, [Symbol.dispose]: dispose };
}
