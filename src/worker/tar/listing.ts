// The entries of a directory in the order of their names. A directory that is too large for the memory limit is listed in batches,
// in the order of its file system.
import type { Fd } from "../../kernel/file/fd.ts";
import { openDirectory, type RawEntry, readSomeEntries } from "../../kernel/tree/tree.ts";

/** The limit for all directories from the top to the present one. */
const SORTED_LIMIT = 250_000;
let remembered = 0;

export class Listing implements Disposable {
  readonly #directory: Fd;
  /** The next one last. */
  #entries: RawEntry[] = [];
  #isWhole = false;

  /** `directory` stays the caller's. */
  constructor(directory: Fd) {
    this.#directory = openDirectory(directory, ".");
    do this.#readSome();
    while (!this.#isWhole && remembered < SORTED_LIMIT);
    this.#entries.sort((a, b) => (a.name < b.name ? 1 : -1));
    if (this.#isWhole) this.#directory.close();
  }

  #readSome(): void {
    const some = readSomeEntries(this.#directory);
    for (const entry of some) this.#entries.push(entry);
    remembered += some.length;
    this.#isWhole = some.length === 0;
  }

  next(): RawEntry | undefined {
    if (this.#entries.length === 0 && !this.#isWhole) this.#readSome();
    const entry = this.#entries.pop();
    if (entry !== undefined) remembered--;
    return entry;
  }

  [Symbol.dispose](): void {
    remembered -= this.#entries.length;
    this.#entries = [];
    this.#directory.close();
  }
}
