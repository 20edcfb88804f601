// Shares the time of the event loop between users. A user that has used up its slice in one turn of the loop waits for
// the next turn, in which every waiting user has a slice. While only one user has work, none of it waits.
import { inNextTurn } from "../base/next-turn.ts";

/** Does one piece of work, and returns whether there is more. Never throws. */
type Task = () => boolean;

/** The slice of one user in a turn. A task that has begun is not interrupted. */
const SLICE_MS = 4;
/** The time of all waiting users in a turn. */
const TURN_MS = 20;

export class FairTurns {
  readonly #waiting = new Map<number | string, Task[]>();
  readonly #usedMs = new Map<number | string, number>();
  #isPlanned = false;

  /** Runs the user's task, now or in a later turn. Tasks of one user are run in the order of their calls. */
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

  /** Runs the user's tasks, one after the other, until its slice is used up; the rest waits. */
  #work(user: number | string, tasks: Task[]): void {
    let usedMs = this.#usedMs.get(user) ?? 0;
    let startMs = performance.now();
    // Tasks may add further tasks of the same user.
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
    inNextTurn(() => {
      this.#isPlanned = false;
      this.#turn();
    });
  }

  #turn(): void {
    this.#usedMs.clear();
    const startMs = performance.now();
    for (const [user, tasks] of [...this.#waiting]) {
      if (performance.now() - startMs >= TURN_MS) break;
      // Removed and, where tasks are left, added again: after the other users.
      this.#waiting.delete(user);
      this.#work(user, tasks);
    }
    if (this.#waiting.size > 0) this.#plan();
  }
}
