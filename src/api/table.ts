// How a D-Bus interface is declared: rows of data, from which dispatch, introspection, the D-Bus policy, permissions and the
// types of handlers follow. String keys keep their order: arguments stand in the order of the message.

import type { Prepared } from "../base/prepared.ts";
import type { Variant } from "../base/variant.ts";
import type { Access } from "./access.ts";

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

/** As much of an interface as a client needs to call it. */
export interface CalledInterface {
  readonly name: string;
  readonly methods: Readonly<Record<string, { readonly in: Arguments; readonly out: Arguments }>>;
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
