// Outputs of several hosts as one: lists with a column for the host, pages under its name, JSON with it in each object.
import type { VerbRow } from "../command-line/verb-row.ts";
import { formatJson, type Json } from "../format/json.ts";
import { withSeparators } from "../format/own-sequence.ts";
import { parseJson } from "../format/parse-json.ts";
import { type Cell, type Table, textCell } from "../format/table.ts";
import { compareKeys } from "../list/print.ts";
import { printNumbers, printTable } from "../session/print-table.ts";
import type { Session } from "../session/session.ts";
import { pageJsonMode, tableJsonMode } from "../session/settings.ts";
import { readRows } from "./read-rows.ts";
import type { HostResult } from "./result.ts";
import type { HostsTemplate } from "./template.ts";

interface HostRow {
  readonly host: string;
  readonly cells: readonly Cell[];
  readonly keys: readonly Cell[];
  readonly json: { readonly [key: string]: Json };
}

/**
 * Returns the results, in which a host whose output is no list has failed, and with `mustAgree` one whose list has
 * other columns or another order.
 */
export function checkedRows(
  { terminal }: Session,
  results: readonly HostResult[],
  { mustAgree = true } = {},
): HostResult[] {
  let columns: string | null = null;
  return results.map((result) => {
    if (result.error !== null) return result;
    const list = readRows(result.text, terminal.paint);
    const own = list === null ? null : JSON.stringify([list.columns, list.descending]);
    columns ??= own;
    if (own !== null && (own === columns || !mustAgree)) return result;
    return { ...result, status: 1, error: own === null ? "Its answer is no list" : "It lists other columns" };
  });
}

type JsonObject = { readonly [key: string]: Json };

/** Returns an object of a host with the host's name in front, which no member of the object replaces. */
function placed(host: string, object: JsonObject): JsonObject {
  return Object.assign({ host }, object, { host });
}

/** Returns the JSON documents in the lines of a text; null where a line is no object and no array of objects. */
function documentsOf(text: string): (JsonObject | readonly JsonObject[])[] | null {
  const isObject = (value: Json) => typeof value === "object" && value !== null && !Array.isArray(value);
  try {
    const documents = text
      .split("\n")
      .filter((line) => line !== "")
      .map(parseJson);
    const areObjects = documents.every((one) => (Array.isArray(one) ? one.every(isObject) : isObject(one)));
    return areObjects ? (documents as JsonObject[]) : null;
  } catch {
    return null;
  }
}

/**
 * Returns the objects in the lines of a text of a host, each with the host's name in front; null where a line is no
 * object and no array of objects.
 */
export function placedObjects(host: string, text: string): JsonObject[] | null {
  return (
    documentsOf(text)
      ?.flat()
      .map((object) => placed(host, object)) ?? null
  );
}

interface RowsForm {
  /** Whether most columns are numbers, which cannot be shortened. */
  readonly hasNumbers: boolean;
  readonly template?: HostsTemplate | null;
}

/** Prints the rows of all hosts, in the order of --sort= or else host by host; with a template, a line for each. */
export function printRows(
  session: Session,
  results: readonly HostResult[],
  { hasNumbers, template = null }: RowsForm,
): void {
  const { settings, output, terminal } = session;
  const lists = results.flatMap(({ host, text, error }) => {
    const list = error === null ? readRows(text, terminal.paint) : null;
    return list === null ? [] : [{ host, list }];
  });
  const rows = lists.flatMap(({ host, list }) => list.rows.map((row): HostRow => ({ host, ...row })));
  const first = lists[0]?.list;
  const descending = first?.descending ?? [];
  rows.sort((a, b) => compareKeys(descending, a.keys, b.keys));
  if (template !== null) {
    output.write(rows.map(({ host, cells }) => template.line(host, cells)).join(""));
    return;
  }
  const mode = tableJsonMode(settings);
  if (mode !== null) {
    const failures = results.filter(({ error }) => error !== null).map(({ host, error }) => ({ host, error }));
    const objects = rows.map(({ host, json }) => placed(host, json));
    output.write(formatJson([...objects, ...failures], mode, terminal.paint));
    return;
  }
  // Without an answer of any host, no summary is printed.
  if (first === undefined) return;
  const table: Table = {
    columns: ["host", ...first.columns],
    rows: rows.map(({ host, cells }) => [textCell(host), ...cells]),
  };
  // As printList() does for one host.
  const print = hasNumbers && settings.list.columns === null ? printNumbers : printTable;
  print(session, table, first.noun);
}

/**
 * Prints the outputs of the runs, each under the name of its host; as JSON, with the host in each object. Returns the
 * results, in which a host whose output is to be JSON and is none has failed.
 */
export function printPages(
  { settings, output, terminal }: Session,
  verb: VerbRow,
  results: readonly HostResult[],
): readonly HostResult[] {
  const mode = pageJsonMode(settings);
  if (mode === null) {
    const isShow = verb.meta.name.startsWith("show");
    const heading = (host: string) => (isShow ? (settings.valueOnly ? "" : `Host=${host}\n`) : `${host}:\n`);
    const pages = results.filter(({ text }) => text !== "").map(({ host, text }) => heading(host) + text);
    const text = pages.join(settings.valueOnly ? "" : "\n");
    output.write(settings.output === "json-seq" ? withSeparators(text) : text);
    return results;
  }
  const checked: HostResult[] = [];
  const objects: JsonObject[] = [];
  let isArray = false;
  for (const result of results) {
    const { host } = result;
    const documents = documentsOf(result.text);
    const status = result.status || 1;
    const one = documents !== null ? result : { ...result, status, error: result.error ?? "Its answer is not JSON" };
    checked.push(one);
    isArray ||= documents?.some(Array.isArray) === true;
    for (const object of (documents ?? []).flat()) objects.push(placed(host, object));
    if (one.error !== null) objects.push({ host, error: one.error });
  }
  if (isArray) output.write(formatJson(objects, mode, terminal.paint));
  else for (const object of objects) output.write(formatJson(object, mode, terminal.paint));
  return checked;
}
