// Runs asynchronous work on many items with a limit.

/**
 * Calls `act` for all items, at most `width` calls at a time; returns the results in the order of the items. Rejects
 * with the first error, but does not stop the other calls: the items that are left are passed to `act` as well.
 */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  width: number,
  act: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results = new Array<Result>(items.length);
  let next = 0;
  const take = async () => {
    for (let index = next++; index < items.length; index = next++) results[index] = await act(items[index] as Item);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, take));
  return results;
}

/** Returns a function that runs work of which at most `width` pieces are done at a time; others wait in order. */
export function limited(width: number): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running < width) running++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      // The next one takes the place.
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}
