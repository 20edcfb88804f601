// Values that are made when they are first asked for. A table at the top of a module is built by every program that loads
// the module, also by the many that never look anything up in it.

/** Returns a function that returns what `make` returns, and calls that once at most. */
export function lazy<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
