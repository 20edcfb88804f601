// Calls of a client whose arguments and results are those of a table's row: names, types and the signature follow from
// it.
import type { CalledInterface, Signature, Wire } from "../../api/table.ts";
import type { Prepared } from "../../base/prepared.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { BusCall } from "./connection.ts";

export type Member<Table extends CalledInterface> = keyof Table["methods"] & string;

/** The arguments of a call, by name. */
export type CallArguments<Table extends CalledInterface, Name extends Member<Table>> = {
  readonly [Key in keyof Table["methods"][Name]["in"]]: Wire[Table["methods"][Name]["in"][Key]];
};

/** What a reply holds: lists are decoded, descriptors are opened files that the caller closes. */
type Decoded<Type extends Signature> = Type extends "h"
  ? Fd
  : Wire[Type] extends Prepared<infer Item>
    ? readonly Item[]
    : Wire[Type];

/** The results of a call, by name. */
export type CallResult<Table extends CalledInterface, Name extends Member<Table>> = {
  readonly [Key in keyof Table["methods"][Name]["out"]]: Decoded<Table["methods"][Name]["out"][Key]>;
};

/** Makes a call of a row; sends it with `send`; returns the results by their names. */
export async function callTyped<const Table extends CalledInterface, Name extends Member<Table>>(
  send: (call: BusCall) => Promise<unknown[]>,
  where: Pick<BusCall, "destination" | "path" | "timeoutMs" | "interactive">,
  table: Table,
  member: Name,
  args: CallArguments<Table, Name>,
): Promise<CallResult<Table, Name>> {
  const row = table.methods[member] as CalledInterface["methods"][string];
  const names = Object.keys(row.in);
  const signature = Object.values(row.in).join("");
  const body = names.map((name) => (args as Readonly<Record<string, unknown>>)[name]);
  const passesDescriptors = (signature + Object.values(row.out).join("")).includes("h");
  const call = { ...where, interface: table.name, member, signature, body };
  const reply = await send(passesDescriptors ? { ...call, passesDescriptors } : call);
  const results = Object.keys(row.out).map((name, index) => [name, reply[index]]);
  // The values have the types of the row where the peer keeps to its interface, as with every D-Bus client.
  return Object.fromEntries(results) as CallResult<Table, Name>;
}
