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
