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

/** A process that waits for ever while it executes a program; it goes on when the file system has ended. */
export class HungProcess implements Disposable {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;

  private constructor(file: string) {
    // The file system answers processes that are called python3: PR_SET_NAME gives this one another name.
    const script = `import ctypes, os, sys
ctypes.CDLL(None).prctl(15, b"hanging", 0, 0, 0)
print("ready", flush=True)
sys.stdin.readline()
os.open(sys.argv[1], os.O_RDONLY)
os.execv("/bin/sleep", ["sleep", "1000"])`;
    this.#child = Bun.spawn(["python3", "-c", script, file], { stdio: ["pipe", "pipe", "inherit"] });
  }

  /** Starts a process that has `file` of the file system open when it executes a program. */
  static async start(file: string): Promise<HungProcess> {
    const process = new HungProcess(file);
    await process.#child.stdout.getReader().read();
    return process;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Executes a program; the file system then has the PID among those that wait. */
  hang(): void {
    this.#child.stdin.write("\n");
    this.#child.stdin.flush();
  }

  /** Kills it; it ends when the file system has ended. */
  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
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
