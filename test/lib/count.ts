// Counts what was run, over all the groups of a run.

export class Count {
  passed = 0;
  readonly failed: string[] = [];
  /** What was not tested, and why. */
  readonly leftOut: string[] = [];

  /** Notes one check; `ok` false is a failure of that name. */
  note(name: string, ok: boolean): void {
    if (ok) this.passed++;
    else this.failed.push(name);
  }

  /** Says what was left out and what failed, and closes with the line that machines read. */
  report(): void {
    // A skipped test says why in its name.
    for (const name of new Set(this.leftOut)) console.log(`left out: ${name}`);
    for (const name of this.failed) console.log(`failed: ${name}`);
    console.log(`${this.passed} passed, ${this.failed.length} failed`);
  }
}
