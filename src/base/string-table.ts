// Enumerations of strings: one declaration for the type, the check and the list of values.

interface StringTable<Value extends string> {
  readonly values: readonly Value[];
  /** Returns `text` as a value, or undefined where it is none. Case-sensitive. */
  parse(text: string): Value | undefined;
  has(text: string): text is Value;
}

/** Declares an enumeration by its values, in the order in which they are shown to users. */
export function defineStringTable<const Values extends readonly string[]>(values: Values): StringTable<Values[number]> {
  const known = new Set<string>(values);
  const has = (text: string): text is Values[number] => known.has(text);
  return { values, has, parse: (text) => (has(text) ? text : undefined) };
}
