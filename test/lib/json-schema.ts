// Validates values against the subset of JSON Schema that docs/json.md uses. An unknown keyword is an error, so that no
// part of a schema is ignored.
import { readFileSync } from "node:fs";
import { join } from "node:path";

type Schema = Readonly<Record<string, unknown>>;

const DESCRIPTIVE = ["description", "$defs", "$schema"];

function typeOf(value: unknown): string[] {
  if (value === null) return ["null"];
  if (Array.isArray(value)) return ["array"];
  // For integers beyond 2^53, JSON.parse() returns a rounded integer.
  if (typeof value === "number") return Number.isInteger(value) ? ["integer", "number"] : ["number"];
  return [typeof value];
}

/** Returns the errors of a value, each with its path in the value; empty if it is valid. */
export function schemaErrors(schema: Schema, value: unknown, root: Schema = schema, place = "$"): string[] {
  return Object.entries(schema).flatMap(([keyword, rule]) => {
    if (DESCRIPTIVE.includes(keyword)) return [];
    const check = KEYWORDS[keyword];
    if (check === undefined) return [`${place}: unknown keyword '${keyword}'`];
    return check(rule, value, { schema, root, place });
  });
}

interface Context {
  readonly schema: Schema;
  readonly root: Schema;
  readonly place: string;
}

type Check = (rule: unknown, value: unknown, context: Context) => string[];

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function membersErrors(value: unknown, context: Context, schemaOf: (key: string) => unknown): string[] {
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, item]) => {
    const schema = schemaOf(key);
    const place = `${context.place}.${key}`;
    if (schema === undefined) return [];
    return schema === false
      ? [`${place} is not in the schema`]
      : schemaErrors(schema as Schema, item, context.root, place);
  });
}

const KEYWORDS: Readonly<Record<string, Check>> = {
  enum: (rule, value, { place }) =>
    (rule as readonly unknown[]).includes(value) ? [] : [`${place} is ${JSON.stringify(value)}, not one of ${rule}`],
  type: (rule, value, { place }) => {
    const wanted = [rule].flat();
    return typeOf(value).some((type) => wanted.includes(type))
      ? []
      : [`${place} is ${typeOf(value)[0]}, not ${wanted}`];
  },
  properties: (rule, value, context) => membersErrors(value, context, (key) => (rule as Schema)[key]),
  additionalProperties: (rule, value, context) => {
    const known = Object.keys((context.schema["properties"] ?? {}) as Schema);
    return membersErrors(value, context, (key) => (known.includes(key) ? undefined : rule));
  },
  required: (rule, value, { place }) =>
    isObject(value)
      ? (rule as string[]).filter((key) => !Object.hasOwn(value, key)).map((key) => `${place}.${key} is missing`)
      : [],
  items: (rule, value, { root, place }) =>
    Array.isArray(value)
      ? value.flatMap((item, index) => schemaErrors(rule as Schema, item, root, `${place}[${index}]`))
      : [],
  pattern: (rule, value, { place }) =>
    typeof value !== "string" || new RegExp(rule as string).test(value) ? [] : [`${place} does not match ${rule}`],
  anyOf: (rule, value, { root, place }) => {
    const all = (rule as Schema[]).map((schema) => schemaErrors(schema, value, root, place));
    return all.some((errors) => errors.length === 0) ? [] : [`${place}: none of ${JSON.stringify(all)}`];
  },
  $ref: (rule, value, { root, place }) => {
    const name = (rule as string).replace("#/$defs/", "");
    const target = (root["$defs"] as Schema)[name];
    return target === undefined ? [`${place}: no ${rule}`] : schemaErrors(target as Schema, value, root, place);
  },
};

/** Returns the schemas in docs/json.md by their headings: the first one, and that of version 2 if there is one. */
export function documentedSchemas(): ReadonlyMap<string, readonly Schema[]> {
  const text = readFileSync(join(import.meta.dir, "../../docs/json.md"), "utf8");
  return new Map(
    text
      .split(/^## /m)
      .slice(1)
      .map((section): [string, Schema[]] => {
        const blocks = [...section.matchAll(/^```json\n(.*?)^```$/gms)].map(
          ([, json]) => JSON.parse(json ?? "") as Schema,
        );
        return [section.slice(0, section.indexOf("\n")), blocks];
      }),
  );
}
