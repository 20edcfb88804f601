// Mounts the FUSE file system of silent-file-system.py, which stops answering and does not support the flags of
// renameat2(2). Needs root and python3.
import { mkdirSync } from "node:fs";
import { join } from "node:path";

interface SilentFileSystem extends Disposable {
  readonly path: string;
  /** Resolves when a process waits for the file system. */
  readonly asked: Promise<unknown>;
}

/**
 * Mounts the file system on a new directory `path`; it does not answer `operation` on its file. Disposing unmounts it.
 */
export async function mountSilent(
  path: string,
  operation: "getattr" | "open" | "read" | "rest" | "flush" | "never",
): Promise<SilentFileSystem> {
  mkdirSync(path);
  const child = Bun.spawn(["python3", join(import.meta.dir, "silent-file-system.py"), path, operation], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const reader = child.stdout.getReader();
  const until = async (word: string) => {
    for (let text = ""; !text.includes(word); ) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`The file system ended before it said "${word}"`);
      text += Buffer.from(value).toString();
    }
  };
  await until("mounted");
  const dispose = () => {
    child.kill("SIGKILL");
    Bun.spawnSync(["umount", "-l", path]);
  };
  const asked = until("silent");
  asked.catch(() => {});
  return { path, asked, [Symbol.dispose]: dispose };
}
