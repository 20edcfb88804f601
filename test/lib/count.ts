// Counts the results of all groups of a test run.

/** A test file, or a folder of them, in which something has failed, and how to run it again, alone. */
interface Repeatable {
  /** The names of the tests that failed, as they were recorded. */
  readonly failed: readonly string[];
  /** The names of those that passed. */
  readonly passed: readonly string[];
  /** The names of the failures that are no tests: a second attempt that passes is without them. */
  readonly around?: readonly string[];
  /** Runs the file; returns the names of the tests that passed, null where one failed or the file did not run. */
  readonly again: () => Promise<readonly string[] | null>;
}

/** The end of the names under which `bun test` records what failed around tests (`beforeAll` and such). */
const HOOK = "(unnamed)";

/** More files with failures are no accident, and are not run again. */
const MOST_REPEATED = 3;

/** The results so far. */
export class Count {
  passed = 0;
  readonly failed: string[] = [];
  /** What was not tested, each with the reason. */
  readonly leftOut: string[] = [];
  /** The tests that failed beside others and passed when their file ran again, alone. */
  readonly unsteady: string[] = [];
  #repeatable: Repeatable[] = [];

  /** Records the result of one test. */
  note(name: string, ok: boolean): void {
    if (ok) this.passed++;
    else this.failed.push(name);
  }

  /** Records that a file with failed tests can be run again. */
  canRepeat(file: Repeatable): void {
    this.#repeatable.push(file);
  }

  /**
   * Runs the files with failed tests once more, one after the other. Where a whole file passes, its tests count as
   * passed, and those that failed before are printed as unsteady. A test that is left out at the second attempt has not
   * passed. See docs/decisions/0017-second-attempt.md.
   */
  async repeatFailed(): Promise<void> {
    const files = this.#repeatable;
    this.#repeatable = [];
    if (files.length > MOST_REPEATED) return;
    for (const { failed, passed, around = [], again } of files) {
      const now = await again();
      const wanted = [...failed.filter((name) => !name.endsWith(HOOK)), ...passed];
      if (now === null || now.length === 0 || !wanted.every((name) => now.includes(name))) continue;
      for (const name of [...failed, ...around]) {
        this.failed.splice(this.failed.indexOf(name), 1);
        this.unsteady.push(name);
      }
      // Where a hook failed, the tests after it were not recorded.
      this.passed += now.length - passed.length;
    }
  }

  /** Prints what was left out and what failed; the last line, with the counts, is for programs. */
  report(): void {
    // The name of a skipped test contains the reason.
    for (const name of new Set(this.leftOut)) console.log(`left out: ${name}`);
    for (const name of this.unsteady) console.log(`unsteady (failed beside other tests, passed alone): ${name}`);
    for (const name of this.failed) console.log(`failed: ${name}`);
    console.log(`${this.passed} passed, ${this.failed.length} failed`);
  }
}
