// How a Varlink interface is declared: rows of data. A type is written as in the interface language
// (https://varlink.org/Interface-Definition): "?[]int", "string", or the name of a type of the same interface.

export type VarlinkType = string;
export type VarlinkFields = Readonly<Record<string, VarlinkType>>;

export interface VarlinkMethod {
  readonly in: VarlinkFields;
  readonly out: VarlinkFields;
  /** Whether one call can have many replies, or must. */
  readonly more?: "supported" | "required";
  /** How many descriptors may come with a call; none unless it is said. */
  readonly descriptors?: number;
  readonly doc: string;
}

/**
 * One sentence about everything that a description names, for `varlinkctl introspect`. A field or value is looked up as
 * `Owner.name` (owner: its method, type or error) and then as `name` alone.
 */
export interface VarlinkNotes {
  readonly types?: Readonly<Record<string, string>>;
  /** Parameters, members of structures, and values of enumerations. */
  readonly fields: Readonly<Record<string, string>>;
  readonly errors: Readonly<Record<string, string>>;
}

export interface VarlinkInterface {
  readonly name: string;
  readonly doc: string;
  /** An enumeration by its values, or a structure by its fields. */
  readonly types: Readonly<Record<string, readonly string[] | VarlinkFields>>;
  readonly methods: Readonly<Record<string, VarlinkMethod>>;
  readonly notes: VarlinkNotes;
  /** Errors with their parameters. */
  readonly errors: Readonly<Record<string, VarlinkFields>>;
}

export function defineVarlinkInterface<const Interface extends VarlinkInterface>(table: Interface): Interface {
  return table;
}
