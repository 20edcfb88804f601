// A host's directories of images and of locks, in a private directory of a test, and the workers that use them.
import { afterAll } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { FileLock } from "../../src/kernel/file/lock.ts";
import { layoutBelow } from "../../src/registry/image/layout.ts";
import { waitFor } from "../lib/wait-for.ts";
import { type Run, startWorker } from "./pull-support.ts";

const OWN_OPTIONS = ["systemd-import", "systemd-import-fs", "systemd-export", "systemd-pull"];

export class ImageHost {
  readonly path: string;
  readonly layout;
  readonly pool: string;
  readonly locks: string;

  constructor(parent = tmpdir()) {
    this.path = mkdtempSync(join(parent, "image-host-"));
    this.layout = layoutBelow(this.path);
    this.pool = this.layout.pool;
    this.locks = join(this.path, "run/systemd/nspawn/locks");
    for (const directory of [this.pool, this.locks, ...this.layout.settings]) mkdirSync(directory, { recursive: true });
    afterAll(() => this.remove());
  }

  remove(): void {
    Bun.spawnSync(["chattr", "-R", "-i", this.path], { stderr: "ignore" });
    rmSync(this.path, { recursive: true, force: true });
  }

  start(program: string, [verb = "", ...words]: readonly string[], env: Record<string, string> = {}) {
    const args = OWN_OPTIONS.includes(program) ? [verb, `--image-root=${this.pool}`, ...words] : [verb, ...words];
    return startWorker(program, args, { MACHINED_IMAGE_ROOT: this.path, ...env });
  }

  async run(program: string, args: readonly string[], env?: Record<string, string>): Promise<Run> {
    return finished(this.start(program, args, env));
  }

  /** All names in the pool except those of locks. */
  entries(): string[] {
    return readdirSync(this.pool)
      .filter((name) => !name.endsWith(".lck"))
      .sort();
  }

  /** Removes images, all of them unless names are given. */
  clear(...names: string[]): void {
    for (const name of names.length > 0 ? names : this.entries()) {
      const path = join(this.pool, name);
      Bun.spawnSync(["chattr", "-i", path], { stderr: "ignore" });
      rmSync(path, { recursive: true, force: true });
    }
  }

  /** The lock files, beside images and of this host. */
  lockFiles(): string[] {
    return [...readdirSync(this.pool).filter((name) => name.endsWith(".lck")), ...readdirSync(this.locks)].sort();
  }

  /** Removes the lock files that a killed worker left, which the next one would take over. */
  removeLockFiles(): void {
    for (const directory of [this.pool, this.locks]) {
      for (const name of readdirSync(directory)) {
        if (directory === this.locks || name.endsWith(".lck")) rmSync(join(directory, name));
      }
    }
  }

  /** Takes the locks that nspawn holds on the image at `path` while a machine runs from it. */
  lockAsMachine(
    path: string,
    which: readonly ("beside" | "inode")[] = ["beside", "inode"],
  ): Disposable & { files: string[] } {
    const { dev, ino } = statSync(path, { bigint: true });
    const files = which.map((kind) =>
      kind === "beside" ? join(dirname(path), `.#${basename(path)}.lck`) : join(this.locks, `inode-${dev}:${ino}`),
    );
    const locks = files.map((file) => FileLock.take(file, "exclusive"));
    return { files, [Symbol.dispose]: () => locks.forEach((lock) => void lock[Symbol.dispose]()) };
  }

  /** Waits until a transfer has made the hidden entry that it works on; returns its path. */
  staged(label: string): Promise<string> {
    return waitFor(() => join(this.pool, this.stagedNow(label)), `an entry .#${label}…`);
  }

  stagedNow(label: string): string {
    const found = this.entries().find((name) => new RegExp(`^\\.#${label}[0-9a-f]{16}$`).test(name));
    if (found === undefined) throw new Error("nothing so far");
    return found;
  }
}

export async function finished(child: ReturnType<typeof startWorker>): Promise<Run> {
  const [stdout, log] = await Promise.all([new Response(child.stdout).bytes(), child.stderr.text()]);
  return { code: await child.exited, log, stdout: Buffer.from(stdout) };
}

/** The number of regular files of a tree. */
export function filesIn(path: string): number {
  return Number(Bun.spawnSync(["sh", "-c", `find '${path}' -type f | wc -l`]).stdout.toString());
}

/** The number of entries of a directory; 0 if it does not exist. */
export function count(path: string): number {
  try {
    return readdirSync(path).length;
  } catch {
    return 0;
  }
}
