// Lists the entries of a directory sorted by name. A directory that exceeds the memory limit is listed in batches, in
// the order of its file system.
import type { Fd } from "../../kernel/file/fd.ts";
import { openDirectory, type RawEntry, type RawName, readSomeEntries } from "../../kernel/tree/tree.ts";
import { namingFile } from "./naming-file.ts";

/** The limit of entries in memory, for all directories from the top to the current one together. */
const SORTED_LIMIT = 250_000;
/** The number of entries in memory now. */
let remembered = 0;

export class Listing implements Disposable {
  readonly #directory: Fd;
  readonly #path: RawName;
  /** In reverse order: the next entry is the last element. */
  #entries: RawEntry[] = [];
  #isWhole = false;

  /** The caller still owns `directory`; `path` is its name in errors. */
  constructor(directory: Fd, path: RawName) {
    using owner = new DisposableStack();
    this.#path = path;
    this.#directory = namingFile(path, () => openDirectory(directory, "."));
    owner.use(this);
    do this.#readSome();
    while (!this.#isWhole && remembered < SORTED_LIMIT);
    owner.move();
    this.#entries.sort((a, b) => (a.name < b.name ? 1 : -1));
    if (this.#isWhole) this.#directory.close();
  }

  #readSome(): void {
    const some = namingFile(this.#path, () => readSomeEntries(this.#directory));
    for (const entry of some) this.#entries.push(entry);
    remembered += some.length;
    this.#isWhole = some.length === 0;
  }

  /** Returns the next entry; undefined at the end. */
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
