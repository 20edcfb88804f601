// The JSON output of each verb with --json=, as JSON Schema (draft 2020-12). Schemas of lists are made from the tables
// of columns, those of properties from the tables of interfaces; the others are written here. test/service/json.test.ts
// compares them with the output of the verbs.

import { Image, Machine, Manager } from "../../src/api/machine1.ts";
import { IoMachinedEvents } from "../../src/api/varlink/io-machined-events.ts";
import type { VarlinkFields, VarlinkInterface } from "../../src/api/varlink-table.ts";
import type { ColumnRow, ColumnType } from "../../src/cli/command-line/verb-row.ts";

/** A JSON Schema. */
export interface Schema {
  readonly [keyword: string]: unknown;
}

/** The section of docs/json.md about a verb. */
export interface JsonSection {
  /** A sentence that says which documents the output consists of. */
  readonly form: string;
  readonly schema: Schema;
  /** The schema of --json-version=2, if it differs. */
  readonly second?: Schema;
}

const ONE_OBJECT = "One object for each name, each a document of its own.";
const TEXT = { type: "string" };
const TEXT_OR_NULL = { type: ["string", "null"] };
const INTEGER = { type: "integer" };
const INTEGER_OR_NULL = { type: ["integer", "null"] };
const TEXTS = { type: "array", items: TEXT };
/** An object with any members, all of type string. */
const FIELDS = { type: "object", additionalProperties: TEXT };

function described(schema: Schema, description: string): Schema {
  return { description, ...schema };
}

/** An object with exactly these members. */
function object(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: "object", properties, required: Object.keys(properties), additionalProperties: false };
}

function orNull(schema: Schema): Schema {
  return { anyOf: [{ type: "null" }, schema] };
}

const COLUMN_TYPES: Readonly<Record<ColumnType, Schema>> = {
  text: TEXT_OR_NULL,
  list: TEXTS,
  boolean: { type: "boolean" },
  number: INTEGER_OR_NULL,
  bytes: { type: ["number", "null"] },
  percent: { type: ["number", "null"] },
  microseconds: INTEGER_OR_NULL,
  time: INTEGER_OR_NULL,
};

/** The unit that is added to the description of a column of numbers. */
const UNITS: Readonly<Partial<Record<ColumnType, string>>> = {
  bytes: "bytes",
  percent: "percent",
  microseconds: "microseconds",
  time: "microseconds since 1970",
};

/** Returns the members that a column has in a row, in a version of the JSON form. */
function membersOf({ key, type, description, memberTypes }: ColumnRow, version: 1 | 2): [string, Schema][] {
  return Object.entries(memberTypes ?? { [key]: type }).map(([name, one]) => {
    const schema = one === "list" && version === 1 ? TEXT_OR_NULL : COLUMN_TYPES[one];
    const unit = UNITS[one];
    return [name, described(schema, unit === undefined ? description : `${description} (${unit})`)];
  });
}

function rowsSchema(columns: readonly ColumnRow[], version: 1 | 2): Schema {
  const members = (some: readonly ColumnRow[]) => some.flatMap((column) => membersOf(column, version));
  const required = members(columns.filter(({ isUsual }) => isUsual)).map(([name]) => name);
  const properties = Object.fromEntries(members(columns));
  return { type: "array", items: { type: "object", properties, required, additionalProperties: false } };
}

/** Returns the section of a verb that prints a list. */
export function listSection(columns: readonly ColumnRow[]): JsonSection {
  const hasLists = columns.some(({ type }) => type === "list");
  const form =
    "An array with an object for each row. The required members are those of a call without `--columns=`; with it, the object has the members of the columns that are named.";
  const schema = rowsSchema(columns, 1);
  return hasLists ? { form, schema, second: rowsSchema(columns, 2) } : { form, schema };
}

const SIGNATURES: Readonly<Record<string, Schema>> = {
  s: TEXT,
  b: { type: "boolean" },
  t: INTEGER,
  u: INTEGER,
  ay: { type: "string", pattern: "^([0-9a-f]{2})*$" },
  ai: { type: "array", items: INTEGER },
};

type Properties = Readonly<Record<string, { readonly type: string; readonly doc: string }>>;

/**
 * Returns the schema of an object of D-Bus properties. No member is required, because releases of the daemon differ.
 */
function propertiesSchema(...tables: readonly Properties[]): Schema {
  const properties = tables.flatMap((table) =>
    Object.entries(table).map(([name, { type, doc }]): [string, Schema] => {
      const schema = SIGNATURES[type];
      if (schema === undefined) throw new Error(`No schema for properties of the D-Bus type '${type}'`);
      return [name, described(schema, doc)];
    }),
  );
  return { type: "object", properties: Object.fromEntries(properties) };
}

/** Returns the schema of a Varlink reply or type. Members whose type begins with a question mark are optional. */
function replySchema(table: VarlinkInterface, fields: VarlinkFields): Schema {
  const members = Object.entries(fields).map(([name, type]): [string, Schema] => {
    const note = table.notes.fields[name] ?? "";
    return [name, described(varlinkType(table, type.replace(/^\?/, "")), note)];
  });
  const required = Object.keys(fields).filter((name) => !fields[name]?.startsWith("?"));
  return { type: "object", properties: Object.fromEntries(members), required, additionalProperties: false };
}

const VARLINK_TYPES: Readonly<Record<string, Schema>> = {
  string: TEXT,
  int: INTEGER,
  bool: { type: "boolean" },
  float: { type: "number" },
  object: { type: "object" },
};

function varlinkType(table: VarlinkInterface, type: string): Schema {
  if (type.startsWith("[]")) return { type: "array", items: varlinkType(table, type.slice(2)) };
  const named = table.types[type];
  if (Array.isArray(named)) return { enum: named };
  if (named !== undefined) return replySchema(table, named as VarlinkFields);
  const schema = VARLINK_TYPES[type];
  if (schema === undefined) throw new Error(`No schema for the Varlink type '${type}'`);
  return schema;
}

const PROCESS = object({ pid: INTEGER, command: TEXT });
const NAMED_PROCESS = orNull(object({ pid: INTEGER, name: TEXT_OR_NULL }));

/** An entry of journalctl(1), `--output=json`. Fields with binary data, and fields that occur twice, are arrays. */
const JOURNAL_ENTRY = {
  type: "object",
  properties: { __CURSOR: TEXT, __REALTIME_TIMESTAMP: TEXT, __MONOTONIC_TIMESTAMP: TEXT },
  additionalProperties: { type: ["string", "array", "null"] },
};

const STATUS = {
  $defs: {
    tree: object({
      cgroup: TEXT,
      processes: { type: "array", items: PROCESS },
      children: { type: "array", items: { $ref: "#/$defs/tree" } },
    }),
  },
  ...object({
    name: TEXT,
    id: described(TEXT_OR_NULL, "32 hexadecimal digits"),
    class: TEXT_OR_NULL,
    service: TEXT_OR_NULL,
    state: TEXT_OR_NULL,
    since: described(INTEGER_OR_NULL, "When the machine was registered, in microseconds since 1970"),
    leader: NAMED_PROCESS,
    supervisor: NAMED_PROCESS,
    uid: described(INTEGER, "The user who registered the machine"),
    rootDirectory: TEXT_OR_NULL,
    networkInterfaces: { type: "array", items: object({ index: INTEGER, name: TEXT_OR_NULL }) },
    addresses: TEXTS,
    osRelease: orNull(FIELDS),
    uidShift: INTEGER_OR_NULL,
    unit: TEXT_OR_NULL,
    subgroup: TEXT_OR_NULL,
    processes: orNull({ $ref: "#/$defs/tree" }),
    processesElsewhere: { type: "array", items: object({ cgroup: TEXT, pid: INTEGER, command: TEXT }) },
    journal: described({ type: "array", items: JOURNAL_ENTRY }, "The last entries about the unit, oldest first"),
  }),
};

const IMAGE_STATUS = object({
  name: TEXT,
  path: TEXT_OR_NULL,
  type: TEXT_OR_NULL,
  readOnly: { type: "boolean" },
  created: described(INTEGER_OR_NULL, "Microseconds since 1970"),
  modified: described(INTEGER_OR_NULL, "Microseconds since 1970"),
  usage: described(INTEGER_OR_NULL, "Bytes"),
  usageExclusive: described(INTEGER_OR_NULL, "Bytes that are shared with nothing else"),
  limit: described(INTEGER_OR_NULL, "Bytes"),
  limitExclusive: described(INTEGER_OR_NULL, "Bytes"),
  hostname: TEXT_OR_NULL,
  machineId: TEXT_OR_NULL,
  machineInfo: FIELDS,
  osRelease: FIELDS,
});

const POOL_STATUS = object({ path: TEXT, usage: INTEGER_OR_NULL, limit: INTEGER_OR_NULL });

/** The sections of verbs that do not print a list, by client and verb. */
export const JSON_SECTIONS: Readonly<Record<string, JsonSection>> = {
  "machinectl status": { form: ONE_OBJECT, schema: STATUS },
  "machinectl show": {
    form: `${ONE_OBJECT} Members are properties of D-Bus, bytes in hexadecimal digits; \`--property=\` selects some. Without a name they are those of the manager.`,
    schema: propertiesSchema(Machine.properties, Manager.properties),
  },
  "machinectl events": {
    form: "An object for each event, each a document of its own: the replies of io.machined.Events.Subscribe. With `--columns=` it has the members of the columns that are named, which are null where the event lacks them.",
    schema: replySchema(IoMachinedEvents, IoMachinedEvents.methods.Subscribe.out),
  },
  "machinectl logs": {
    form: "An object for each entry, each a document of its own, as journalctl(1) prints it: `short` means `-o json`, `pretty` means `-o json-pretty`.",
    schema: JOURNAL_ENTRY,
  },
  "machinectl doctor": {
    form: "An array with an object for each check, the host's before those of the machine.",
    schema: {
      type: "array",
      items: object({
        id: described(TEXT, "The name of the check, which does not change between releases"),
        title: TEXT,
        status: described(
          { enum: ["ok", "warning", "problem", "unknown"] },
          "`unknown` if a fact that the check needs could not be gathered",
        ),
        what: described(TEXT, "What was found"),
        why: described(TEXT_OR_NULL, "What it means"),
        mend: described(TEXT_OR_NULL, "A command that repairs it"),
      }),
    },
  },
  "machinectl image-status": {
    form: `${ONE_OBJECT} Without a name it describes the pool.`,
    schema: { anyOf: [IMAGE_STATUS, POOL_STATUS] },
  },
  "machinectl show-image": {
    form: `${ONE_OBJECT} Members are properties of D-Bus; \`--property=\` selects some. Without a name they are those of the manager.`,
    schema: propertiesSchema(Image.properties, Manager.properties),
  },
  "machinectl exec": {
    form: "With `--detach`, one object for each command that is left running; `--json=` does nothing without it.",
    schema: object({
      machine: TEXT,
      pid: described(INTEGER, "The process of the command, as this host numbers it"),
      cgroup: described(TEXT_OR_NULL, "The control group of the command: a directory of this host"),
    }),
  },
  "machinectl clean": {
    form: "An array with an object for each image that was removed.",
    schema: {
      type: "array",
      items: object({ name: TEXT, freed: described(INTEGER_OR_NULL, "Bytes that nothing else shared") }),
    },
  },
};
