// The walk of a copy: through a tree and, in step with it, through its copy.

import type { DirectoryChain } from "./directory-chain.ts";
import type { NameStack } from "./name-stack.ts";
import { pushEntries, type RawName } from "./tree.ts";

/** Both trees, at their tops, and a stack for the names that are still to visit. */
interface Trees {
  readonly from: DirectoryChain;
  readonly to: DirectoryChain;
  readonly names: NameStack;
}

interface Visitor {
  /**
   * Called for each name of the current directory of `from`; returns true for a directory, which both chains have then
   * entered.
   */
  entry(name: RawName): boolean;
  /** Called after the last name of the current directory, the top included, before both chains leave it. */
  end(): void;
}

/**
 * Visits all entries of `from`, the content of a directory before the names after it. Uses no recursion, so that the
 * depth is limited by the visitor alone. The names of a directory are read when it is entered.
 */
export function walkBoth({ from, to, names }: Trees, visitor: Visitor): void {
  /** The number of names that are still to visit, for each directory from the top to the current one. */
  const pending = [pushEntries(from.current, names)];
  for (;;) {
    const left = pending.at(-1) as number;
    if (left > 0) {
      pending[pending.length - 1] = left - 1;
      if (visitor.entry(names.pop())) pending.push(pushEntries(from.current, names));
      continue;
    }
    visitor.end();
    if (from.depth === 0) return;
    from.leave();
    to.leave();
    pending.pop();
  }
}
