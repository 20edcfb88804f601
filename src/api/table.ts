// The form in which D-Bus interfaces are declared: tables, from which dispatch, introspection, the D-Bus policy,
// permissions and the types of handlers are derived. The order of an object's keys is the order of the arguments in the
// message.
import type { Prepared } from "../base/prepared.ts";
import type { Variant } from "../base/variant.ts";
import type { Access } from "./access.ts";

/** A file descriptor that a message carries. */
export interface Descriptor {
  readonly number: number;
}

/** The TypeScript type of each signature in the tables, as handlers receive and return it. */
export interface Wire {
  s: string;
  o: string;
  b: boolean;
  i: number;
  u: number;
  t: bigint;
  d: number;
  h: Descriptor;
  v: Variant;
  ay: Uint8Array;
  as: readonly string[];
  ai: readonly number[];
  "a{ss}": ReadonlyMap<string, string>;
  "a{sv}": ReadonlyMap<string, Variant>;
  "a(sv)": readonly (readonly [string, Variant])[];
  "a(sa(sv))": readonly (readonly [string, readonly (readonly [string, Variant])[]])[];
  "a(st)": readonly (readonly [string, bigint])[];
  "a(sss)": readonly (readonly [string, string, string])[];
  "a(sus)": readonly (readonly [string, number, string])[];
  "a(iay)": readonly (readonly [number, Uint8Array])[];
  "a(ssso)": Prepared<readonly [string, string, string, string]>;
  "a(ssbttto)": Prepared<readonly [string, string, boolean, bigint, bigint, bigint, string]>;
  "a(usssdo)": readonly (readonly [number, string, string, string, number, string])[];
  "a(ussssdo)": readonly (readonly [number, string, string, string, string, number, string])[];
  "a(ssssbtttttt)": readonly (readonly [
    ...[string, string, string, string, boolean],
    ...[bigint, bigint, bigint, bigint, bigint, bigint],
  ])[];
}

export type Signature = keyof Wire;
export type Arguments = Readonly<Record<string, Signature>>;

export interface BusMethod {
  readonly in: Arguments;
  readonly out: Arguments;
  /** Who may call it. The D-Bus policy lets everybody send calls of all rows but the privileged ones. */
  readonly access: Access;
  /** The arguments have no names in introspection, as in the original. */
  readonly unnamed?: true;
  readonly doc: string;
}

export interface BusProperty {
  readonly type: Signature;
  /** The EmitsChangedSignal annotation: `const` never changes, `false` changes without a signal. */
  readonly emits: "const" | "false";
  readonly writable?: true;
  /** Available by Get, but left out of introspection and GetAll (an old name kept for old clients). */
  readonly hidden?: true;
  readonly doc: string;
}

interface BusSignal {
  readonly args: Arguments;
  readonly doc: string;
}

export interface BusInterface {
  readonly name: string;
  readonly methods: Readonly<Record<string, BusMethod>>;
  readonly properties: Readonly<Record<string, BusProperty>>;
  readonly signals: Readonly<Record<string, BusSignal>>;
}

/** The part of an interface that a client needs for calls. */
export interface CalledInterface {
  readonly name: string;
  readonly methods: Readonly<Record<string, { readonly in: Arguments; readonly out: Arguments }>>;
}

/** Declares an interface that is only called. Returns the table with its literal types. */
export function defineCalledInterface<const Interface extends CalledInterface>(table: Interface): Interface {
  return table;
}

/** Declares an interface. Returns the table with its literal types, from which `Handlers` is inferred. */
export function defineBusInterface<const Interface extends BusInterface>(table: Interface): Interface {
  return table;
}

export type Values<Row extends Arguments> = { readonly [Name in keyof Row]: Wire[Row[Name]] };

/** One function for each method: takes the named arguments, returns the named results or a promise of them. */
export type Handlers<Interface extends BusInterface, Context> = {
  readonly [Member in keyof Interface["methods"]]: (
    context: Context,
    args: Values<Interface["methods"][Member]["in"]>,
  ) => Values<Interface["methods"][Member]["out"]> | Promise<Values<Interface["methods"][Member]["out"]>>;
};

/** One getter for each property: takes the object that the path names, returns the value. */
export type Getters<Interface extends BusInterface, Subject> = {
  readonly [Name in keyof Interface["properties"]]: (subject: Subject) => Wire[Interface["properties"][Name]["type"]];
};
