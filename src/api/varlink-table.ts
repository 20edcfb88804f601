// How a Varlink interface is declared: rows of data. A type is written as in the interface language
// (https://varlink.org/Interface-Definition): "?[]int", "string", or the name of a type of the same interface.

export type VarlinkType = string;
export type VarlinkFields = Readonly<Record<string, VarlinkType>>;

export interface VarlinkMethod {
  readonly in: VarlinkFields;
  readonly out: VarlinkFields;
  /** Whether one call can have many replies, or must. */
  readonly more?: "supported" | "required";
  readonly doc: string;
}

export interface VarlinkInterface {
  readonly name: string;
  readonly doc: string;
  /** An enumeration by its values, or a structure by its fields. */
  readonly types: Readonly<Record<string, readonly string[] | VarlinkFields>>;
  readonly methods: Readonly<Record<string, VarlinkMethod>>;
  /** Errors with their parameters. */
  readonly errors: Readonly<Record<string, VarlinkFields>>;
}

export function defineVarlinkInterface<const Interface extends VarlinkInterface>(table: Interface): Interface {
  return table;
}
