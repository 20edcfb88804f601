// Counts the calls and failures of each method, and the durations of each interface's calls. Only methods of the tables
// are counted, so that no caller can add names.

/** Upper bounds of the classes of durations, in seconds; a last class has all longer ones. */
export const DURATION_BOUNDS = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10] as const;

/** The calls of one method. */
interface MethodCount {
  readonly interface: string;
  readonly method: string;
  readonly calls: number;
  readonly errors: number;
}

/** How long the calls of one interface took. */
interface Durations {
  readonly interface: string;
  /** Calls by class of duration, each in one class; one more class than bounds. */
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

interface Counting {
  readonly name: string;
  readonly methods: Map<string, { calls: number; errors: number }>;
  readonly counts: number[];
  sumSeconds: number;
}

export class CallCounts {
  readonly #interfaces = new Map<string, Counting>();

  /**
   * Runs the handler of a method and counts it. A call that never ends, because its caller disconnected, has no
   * duration.
   */
  measure<Result>(interfaceName: string, method: string, handle: () => Result): Result {
    const counting = this.#of(interfaceName);
    const count = counting.methods.get(method) ?? { calls: 0, errors: 0 };
    counting.methods.set(method, count);
    count.calls++;
    const startMs = performance.now();
    const end = (errors: 0 | 1) => {
      count.errors += errors;
      record(counting, (performance.now() - startMs) / 1000);
    };
    let result: Result;
    try {
      result = handle();
    } catch (error) {
      end(1);
      throw error;
    }
    if (!(result instanceof Promise)) end(0);
    else
      result.then(
        () => end(0),
        () => end(1),
      );
    return result;
  }

  get methods(): MethodCount[] {
    return Array.from(this.#interfaces.values()).flatMap(({ name, methods }) =>
      Array.from(methods, ([method, { calls, errors }]) => ({ interface: name, method, calls, errors })),
    );
  }

  get durations(): Durations[] {
    return Array.from(this.#interfaces.values(), ({ name, counts, sumSeconds }) => {
      return { interface: name, counts, sumSeconds };
    });
  }

  #of(name: string): Counting {
    const known = this.#interfaces.get(name);
    if (known !== undefined) return known;
    const counts = new Array<number>(DURATION_BOUNDS.length + 1).fill(0);
    const counting = { name, methods: new Map(), counts, sumSeconds: 0 };
    this.#interfaces.set(name, counting);
    return counting;
  }
}

function record(counting: Counting, seconds: number): void {
  const index = DURATION_BOUNDS.findIndex((bound) => seconds <= bound);
  const place = index < 0 ? DURATION_BOUNDS.length : index;
  counting.counts[place] = (counting.counts[place] ?? 0) + 1;
  counting.sumSeconds += seconds;
}
