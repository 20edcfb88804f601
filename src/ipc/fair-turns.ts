// Time shared between users: whoever has used up its slice of this turn of the loop waits for the next one, in which every
// user that waits gets a slice. A single caller never notices: its work is done at once.

/** Does one piece of work, and says whether there is more. Never throws. */
type Task = () => boolean;

/** What one user may use of a turn before others are looked after. One piece of work is done even if it takes longer. */
const SLICE_MS = 4;
/** What waiting users may use of a turn together. */
const TURN_MS = 20;

export class FairTurns {
  readonly #waiting = new Map<number | string, Task[]>();
  readonly #usedMs = new Map<number | string, number>();
  #isPlanned = false;

  /** Does the user's work, now or when it is the user's turn; what one user has to do is done in its order. */
  run(user: number | string, task: Task): void {
    const waiting = this.#waiting.get(user);
    if (waiting !== undefined) waiting.push(task);
    else if (this.#hasTime(user)) this.#work(user, [task]);
    else this.#waiting.set(user, [task]);
    this.#plan();
  }

  #hasTime(user: number | string): boolean {
    return (this.#usedMs.get(user) ?? 0) < SLICE_MS;
  }

  /** Goes round the user's tasks until its slice is used up; what is left waits. */
  #work(user: number | string, tasks: Task[]): void {
    let usedMs = this.#usedMs.get(user) ?? 0;
    let startMs = performance.now();
    // Tasks may bring in further ones of the same user.
    this.#waiting.set(user, tasks);
    while (tasks.length > 0 && usedMs < SLICE_MS) {
      const task = tasks.shift() as Task;
      if (task()) tasks.push(task);
      const nowMs = performance.now();
      usedMs += nowMs - startMs;
      startMs = nowMs;
    }
    this.#usedMs.set(user, usedMs);
    if (tasks.length === 0) this.#waiting.delete(user);
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    setImmediate(() => {
      this.#isPlanned = false;
      this.#turn();
    });
  }

  #turn(): void {
    this.#usedMs.clear();
    const startMs = performance.now();
    for (const [user, tasks] of [...this.#waiting]) {
      if (performance.now() - startMs >= TURN_MS) break;
      // Behind the others for the next time.
      this.#waiting.delete(user);
      this.#work(user, tasks);
    }
    if (this.#waiting.size > 0) this.#plan();
  }
}
