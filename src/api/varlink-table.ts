// How a Varlink interface is declared: rows of data. A type is written as in the interface language
// (https://varlink.org/Interface-Definition): "?[]int", "string", or the name of a type of the same interface. The
// TypeScript types of parameters and replies are inferred from the rows.

import type { JsonObject } from "../base/json.ts";
import type { Access } from "./access.ts";

type VarlinkType = string;
export type VarlinkFields = Readonly<Record<string, VarlinkType>>;

export interface VarlinkMethod {
  readonly in: VarlinkFields;
  readonly out: VarlinkFields;
  /** Whether one call can have many replies, or must. */
  readonly more?: "supported" | "required";
  /** How many descriptors may come with a call; none unless it is said. */
  readonly descriptors?: number;
  /** It is described only: the original declares it, and a call of it is answered with MethodNotFound. */
  readonly unimplemented?: true;
  /** Who may call it. */
  readonly access: Access;
  readonly doc: string;
}

/**
 * One sentence about everything that a description names, for `varlinkctl introspect`. A field or value is looked up as
 * `Owner.name` (owner: its method, type or error) and then as `name` alone.
 */
interface VarlinkNotes {
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

/** Declares an interface; the literal types are kept, so that the types of parameters and replies follow from them. */
export function defineVarlinkInterface<const Interface extends VarlinkInterface>(table: Interface): Interface {
  return table;
}

/** An integer as it is received: JSON libraries without 64-bit integers send large ones as text. */
export type ReceivedInteger = number | bigint | string;

/** The values of the built-in types, as they are received. */
interface Received {
  bool: boolean;
  int: ReceivedInteger;
  float: number | bigint;
  string: string;
  object: Readonly<JsonObject>;
}

/** The values of the built-in types, as they are sent. */
interface Sent {
  bool: boolean;
  int: number | bigint;
  float: number;
  string: string;
  object: object;
}

type Types = VarlinkInterface["types"];

type ValueOf<In extends Types, Type, Basic> = Type extends `[]${infer Item}`
  ? readonly ValueOf<In, Item, Basic>[]
  : Type extends keyof Basic
    ? Basic[Type]
    : Type extends keyof In
      ? NamedValue<In, In[Type], Basic> | (Basic extends Received ? NumberOfProcess<Type> : never)
      : never;

type NamedValue<In extends Types, Named, Basic> = Named extends readonly (infer Choice)[]
  ? Choice
  : Basic extends Received
    ? ReceivedFields<In, Named>
    : SentFields<In, Named>;

/** A process may be named by its number alone (`fitsNamed()` of ipc/varlink/schema.ts). */
type NumberOfProcess<Type> = Type extends "ProcessId" ? ReceivedInteger : never;

type Optional = `?${string}`;
type RequiredName<Row, Name extends keyof Row> = Row[Name] extends Optional ? never : Name;
type OptionalName<Row, Name extends keyof Row> = Row[Name] extends Optional ? Name : never;
type Bare<Type> = Type extends `?${infer Inner}` ? Inner : Type;

/** The parameters of a call; a parameter that is null is absent. */
type ReceivedFields<In extends Types, Row> = {
  readonly [Name in keyof Row as RequiredName<Row, Name>]: ValueOf<In, Row[Name], Received>;
} & { readonly [Name in keyof Row as OptionalName<Row, Name>]?: ValueOf<In, Bare<Row[Name]>, Received> };

/** The fields of a reply; one that is undefined is left out. */
type SentFields<In extends Types, Row> = {
  readonly [Name in keyof Row as RequiredName<Row, Name>]: ValueOf<In, Row[Name], Sent>;
} & { readonly [Name in keyof Row as OptionalName<Row, Name>]?: ValueOf<In, Bare<Row[Name]>, Sent> | undefined };

/** What a handler of a method receives. */
export type VarlinkParameters<Table extends VarlinkInterface, Member extends keyof Table["methods"]> = ReceivedFields<
  Table["types"],
  Table["methods"][Member]["in"]
>;

/** One reply to a call of a method. */
export type VarlinkResult<Table extends VarlinkInterface, Member extends keyof Table["methods"]> = SentFields<
  Table["types"],
  Table["methods"][Member]["out"]
>;

/** A value of a type that an interface declares, as it is sent. */
export type VarlinkValue<Table extends VarlinkInterface, Type extends string> = ValueOf<Table["types"], Type, Sent>;
