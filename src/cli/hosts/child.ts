// A child process that runs this client for one of several hosts, in a process group of its own, so that its ssh(1)
// ends with it.
import { PARENT_VARIABLE, parentVariable } from "../../kernel/process/parent.ts";
import { selfCommand } from "../../kernel/process/spawn.ts";

const SIGTERM = 15;
/** The time between SIGTERM and SIGKILL for a child. */
const PATIENCE_MS = 2000;
/** The limit of a child's standard error that is kept; the rest is read and dropped. */
const KEPT_BYTES = 64 << 20;

/** The child for one host. */
export class HostChild {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(program: string, args: readonly string[]) {
    const self = selfCommand(program, args);
    this.#child = Bun.spawn(self.command, {
      argv0: self.argv0,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, [PARENT_VARIABLE]: parentVariable(SIGTERM) },
      detached: true,
    });
  }

  get stdout(): ReadableStream<Uint8Array> {
    return this.#child.stdout;
  }

  get stderr(): ReadableStream<Uint8Array> {
    return this.#child.stderr;
  }

  /** Resolves to the exit status when all processes of the child have ended. */
  async exited(): Promise<number> {
    const status = await this.#child.exited;
    if (this.#timer !== null) clearTimeout(this.#timer);
    // An ssh(1) that is still connecting does not notice that its output was closed.
    this.#signal("SIGTERM");
    return status;
  }

  /** Ends the child and what it has started. */
  stop(): void {
    if (this.#timer !== null) return;
    this.#signal("SIGTERM");
    this.#timer = setTimeout(() => this.#signal("SIGKILL"), PATIENCE_MS);
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // The process group is empty.
    }
  }
}

/** Reads a stream to its end; returns its text up to the limit. */
export async function collected(stream: ReadableStream<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes <= KEPT_BYTES) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
