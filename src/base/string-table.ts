// Enumerations as tables of spellings: one declaration parses, formats and lists.

interface StringTable<Value extends string> {
  readonly values: readonly Value[];
  /** The value spelled `text`, or undefined. Case counts. */
  parse(text: string): Value | undefined;
  has(text: string): text is Value;
}

/** Declares an enumeration by its spellings, in the order in which they are listed to people. */
export function defineStringTable<const Values extends readonly string[]>(values: Values): StringTable<Values[number]> {
  const known = new Set<string>(values);
  const has = (text: string): text is Values[number] => known.has(text);
  return { values, has, parse: (text) => (has(text) ? text : undefined) };
}
