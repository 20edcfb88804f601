// The form in which Varlink interfaces are declared: tables. A type is written as in the interface language
// (https://varlink.org/Interface-Definition): "?[]int", "string", or the name of a type of the same interface. The
// TypeScript types of parameters and replies are inferred from the tables.
import type { JsonObject } from "../base/text/json.ts";
import type { Access } from "./access.ts";

type VarlinkType = string;
export type VarlinkFields = Readonly<Record<string, VarlinkType>>;

export interface VarlinkMethod {
  readonly in: VarlinkFields;
  readonly out: VarlinkFields;
  /** The flag `more`: a call may or must set it, and then has any number of replies. Absent: one reply. */
  readonly more?: "supported" | "required";
  /** The greatest number of descriptors that a call may carry; 0 unless given. */
  readonly descriptors?: number;
  /**
   * Parameters that do not change what a call does. Where a service of an older release does not know them, a client
   * repeats its call without them. Every other parameter changes what is done, so that its refusal is an error.
   */
  readonly hints?: readonly string[];
  /** Only described, because the original declares it; a call gets the error MethodNotFound. */
  readonly unimplemented?: true;
  /** Who may call it. */
  readonly access: Access;
  readonly doc: string;
}

/**
 * The comments of an interface description, one sentence for each name, for `varlinkctl introspect`. A field or value
 * is looked up as `Owner.name` (owner: its method, type or error) and then as `name` alone.
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
  /** An enumeration as a list of its values, or a structure as a record of its fields. */
  readonly types: Readonly<Record<string, readonly string[] | VarlinkFields>>;
  readonly methods: Readonly<Record<string, VarlinkMethod>>;
  readonly notes: VarlinkNotes;
  /** Errors with their parameters. */
  readonly errors: Readonly<Record<string, VarlinkFields>>;
}

/** Declares an interface. Returns the table with its literal types, from which parameters and replies are inferred. */
export function defineVarlinkInterface<const Interface extends VarlinkInterface>(table: Interface): Interface {
  return table;
}

/** An integer as it is received: JSON libraries without 64-bit integers send large ones as text. */
export type ReceivedInteger = number | bigint | string;

/** The TypeScript type of each built-in type in received messages. */
interface Received {
  bool: boolean;
  int: ReceivedInteger;
  float: number | bigint;
  string: string;
  object: Readonly<JsonObject>;
}

/** The TypeScript type of each built-in type in messages to send. */
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
      ? NamedValue<In, In[Type], Basic> | (Basic extends Received ? PidInsteadOfProcessId<Type> : never)
      : never;

type NamedValue<In extends Types, Named, Basic> = Named extends readonly (infer Choice)[]
  ? Choice
  : Basic extends Received
    ? ReceivedFields<In, Named>
    : SentFields<In, Named>;

/** Instead of a structure ProcessId, callers may send the PID alone (`fitsNamed()` of ipc/varlink/schema.ts). */
type PidInsteadOfProcessId<Type> = Type extends "ProcessId" ? ReceivedInteger : never;

type Optional = `?${string}`;
type RequiredName<Row, Name extends keyof Row> = Row[Name] extends Optional ? never : Name;
type OptionalName<Row, Name extends keyof Row> = Row[Name] extends Optional ? Name : never;
type Bare<Type> = Type extends `?${infer Inner}` ? Inner : Type;

/** The parameters of a call; a parameter that the caller sends as null is absent. */
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

/** The TypeScript type, in messages to send, of a type that an interface declares. */
export type VarlinkValue<Table extends VarlinkInterface, Type extends string> = ValueOf<Table["types"], Type, Sent>;
