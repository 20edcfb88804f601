// A child process that runs this client for one of several hosts, in a process group of its own, so that its ssh(1)
// ends with it.
import { plainEnvironment } from "../../base/plain-environment.ts";
import { ChildGroup, collectedText } from "../../kernel/process/child-group.ts";
import { PARENT_VARIABLE, parentVariable } from "../../kernel/process/parent.ts";
import { selfCommand } from "../../kernel/process/spawn.ts";

const SIGTERM = 15;
/** The limit of a child's standard error that is kept; the rest is read and dropped. */
const KEPT_BYTES = 64 << 20;

/**
 * How long processes of a child may keep its output open when it has exited: an ssh(1) that is still connecting does
 * not notice that, and would keep all hosts waiting.
 */
const LEFT_MS = 2000;

/** The child for one host. */
export class HostChild {
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #group: ChildGroup;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(program: string, args: readonly string[]) {
    const self = selfCommand(program, args);
    this.#child = Bun.spawn(self.command, {
      argv0: self.argv0,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...plainEnvironment(), [PARENT_VARIABLE]: parentVariable(SIGTERM) },
      detached: true,
    });
    this.#group = new ChildGroup(this.#child);
    void this.#child.exited.then(() => {
      this.#timer = setTimeout(() => this.#group.signal("SIGTERM"), LEFT_MS);
    });
  }

  get stdout(): ReadableStream<Uint8Array> {
    return this.#child.stdout;
  }

  get stderr(): ReadableStream<Uint8Array> {
    return this.#child.stderr;
  }

  /** Resolves to the exit status; processes of the child that are left are told to end. */
  async exited(): Promise<number> {
    const status = await this.#child.exited;
    clearTimeout(this.#timer);
    this.#group.signal("SIGTERM");
    return status;
  }

  /** Ends the child and what it has started. */
  stop(): void {
    this.#group.stop();
  }
}

/** Reads a stream to its end; returns its text up to the limit. */
export function collected(stream: ReadableStream<Uint8Array>): Promise<string> {
  return collectedText(stream, KEPT_BYTES);
}
