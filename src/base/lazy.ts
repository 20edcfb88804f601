// Values that are computed at their first use. A table at the top of a module is built by every program that loads the
// module, also by those that do not use it.

/** Returns a function that returns what `make` returns, and calls that once at most. */
export function lazy<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
