// Counts the results of all groups of a test run.

/** The results so far. */
export class Count {
  passed = 0;
  readonly failed: string[] = [];
  /** What was not tested, each with the reason. */
  readonly leftOut: string[] = [];

  /** Records the result of one test. */
  note(name: string, ok: boolean): void {
    if (ok) this.passed++;
    else this.failed.push(name);
  }

  /** Prints what was left out and what failed; the last line, with the counts, is for programs. */
  report(): void {
    // The name of a skipped test contains the reason.
    for (const name of new Set(this.leftOut)) console.log(`left out: ${name}`);
    for (const name of this.failed) console.log(`failed: ${name}`);
    console.log(`${this.passed} passed, ${this.failed.length} failed`);
  }
}
