// Children in process groups of their own (`detached` of Bun.spawn): what a child has started, an ssh(1) for example,
// ends with it.

/** The time between SIGTERM and SIGKILL. */
const PATIENCE_MS = 2000;

type Child = Pick<Bun.Subprocess, "pid" | "exited">;

/** The process group that a child leads. */
export class ChildGroup {
  readonly #child: Child;
  #isStopped = false;

  constructor(child: Child) {
    this.#child = child;
  }

  /** Ends all processes of the group: SIGTERM, and SIGKILL where the child has not exited some time after. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), PATIENCE_MS);
    void this.#child.exited.then(() => clearTimeout(timer));
  }

  /** Sends a signal to all processes of the group, also where the child itself has exited. */
  signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // The process group is empty.
    }
  }
}

/**
 * Reads a stream to its end; returns its text up to `mostBytes`, without a part of a character at that limit. What is
 * beyond is dropped, after a call of `over` for each part.
 */
export async function collectedText(
  stream: ReadableStream<Uint8Array>,
  mostBytes: number,
  over: () => void = () => {},
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const kept = chunk.subarray(0, Math.max(mostBytes - bytes, 0));
    bytes += chunk.length;
    if (kept.length > 0) chunks.push(kept);
    if (kept.length < chunk.length) over();
  }
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Buffer.concat(chunks), { stream: bytes > mostBytes });
}
