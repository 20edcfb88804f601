// How an interface is declared: rows of data, from which dispatch, introspection, the D-Bus policy and the typed
// handlers all follow. String keys keep their order, so arguments stand in wire order.
import type { Prepared } from "../base/prepared.ts";
import type { Variant } from "../base/variant.ts";

/** An open file that travels with a message. */
export interface Descriptor {
  readonly number: number;
}

/** The shape in which each signature used by the tables reaches a handler. */
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
  "a(st)": readonly (readonly [string, bigint])[];
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
  /** Any local client may send it: it stands in the D-Bus policy. What it may do is decided by polkit. */
  readonly open?: true;
  /** Only the daemon's own user or root, checked before anything else (252's `CreateMachine`). */
  readonly privileged?: true;
  /** The original declares these arguments without names. */
  readonly unnamed?: true;
  readonly doc: string;
}

export interface BusProperty {
  readonly type: Signature;
  /** The EmitsChangedSignal annotation: these never change, or change silently. */
  readonly emits: "const" | "false";
  readonly writable?: true;
  /** Answered by Get, but left out of introspection and GetAll (an old name kept for old clients). */
  readonly hidden?: true;
  readonly doc: string;
}

export interface BusSignal {
  readonly args: Arguments;
  readonly doc: string;
}

export interface BusInterface {
  readonly name: string;
  readonly methods: Readonly<Record<string, BusMethod>>;
  readonly properties: Readonly<Record<string, BusProperty>>;
  readonly signals: Readonly<Record<string, BusSignal>>;
}

/** Declares an interface; the literal types are kept, so that `Handlers` can be inferred from them. */
export function defineBusInterface<const Interface extends BusInterface>(table: Interface): Interface {
  return table;
}

export type Values<Row extends Arguments> = { readonly [Name in keyof Row]: Wire[Row[Name]] };

/** One function for each method row: named arguments in, named results out, now or later. */
export type Handlers<Interface extends BusInterface, Context> = {
  readonly [Member in keyof Interface["methods"]]: (
    context: Context,
    args: Values<Interface["methods"][Member]["in"]>,
  ) => Values<Interface["methods"][Member]["out"]> | Promise<Values<Interface["methods"][Member]["out"]>>;
};

/** One getter for each property row, given the object that the path named. */
export type Getters<Interface extends BusInterface, Subject> = {
  readonly [Name in keyof Interface["properties"]]: (subject: Subject) => Wire[Interface["properties"][Name]["type"]];
};
