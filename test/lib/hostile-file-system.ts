// Mounts the FUSE file system of hostile-file-system.py, on whose files our processes wait for ever in close(2); a
// broker, and programs that send them, do not. Needs root and python3.
import { mkdirSync } from "node:fs";
import { join } from "node:path";

interface HostileFileSystem extends Disposable {
  /** A file. */
  readonly image: string;
  /** The processes that wait for the file system in close(2). */
  readonly waiting: ReadonlySet<number>;
}

/** Mounts the file system on a new directory `path`. */
export async function mountHostile(path: string): Promise<HostileFileSystem> {
  mkdirSync(path);
  const words = ["python3", join(import.meta.dir, "hostile-file-system.py"), path, "python3", "dbus-daemon"];
  const child = Bun.spawn(words, { stdio: ["ignore", "pipe", "inherit"] });
  const waiting = new Set<number>();
  const mounted = Promise.withResolvers<void>();
  const read = async () => {
    let text = "";
    for await (const part of child.stdout) {
      text += Buffer.from(part).toString();
      if (text.includes("mounted")) mounted.resolve();
      for (const [, pid] of text.matchAll(/^flush (\d+)$/gm)) waiting.add(Number(pid));
    }
    mounted.reject(new Error("The file system ended"));
  };
  void read();
  await mounted.promise;
  const dispose = () => {
    child.kill("SIGKILL");
    Bun.spawnSync(["umount", "-l", path]);
  };
  return { image: join(path, "image"), waiting, [Symbol.dispose]: dispose };
}
