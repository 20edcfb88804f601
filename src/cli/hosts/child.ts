// This client once more, for one of several hosts. It runs in a process group of its own, so that its ssh(1) ends with it.
import { PARENT_VARIABLE, parentVariable } from "../../kernel/process/parent.ts";
import { selfCommand } from "../../kernel/process/spawn.ts";

const SIGTERM = 15;
/** A child that was told to end is killed after this time. */
const PATIENCE_MS = 2000;
/** Of what a child says about itself, no more is kept; the rest is read and dropped. */
const KEPT_BYTES = 64 << 20;

/** The client for one host. */
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

  /** The exit status, once nothing of the child is left. */
  async exited(): Promise<number> {
    const status = await this.#child.exited;
    if (this.#timer !== null) clearTimeout(this.#timer);
    // An ssh that is still about to connect does not notice that nobody reads it.
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
      // Nobody is left in the group.
    }
  }
}

/** The whole text of a stream, as far as it is kept. */
export async function collected(stream: ReadableStream<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes <= KEPT_BYTES) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}
