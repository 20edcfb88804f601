// D-Bus signals as messages, from their rows in src/api.
import type { BusInterface, Values } from "../api/table.ts";
import { MESSAGE_TYPE, type Outgoing } from "../ipc/message/message.ts";

export type SignalOf<Table extends BusInterface> = keyof Table["signals"] & string;
export type SignalValues<Table extends BusInterface, Member extends SignalOf<Table>> = Values<
  Table["signals"][Member]["args"]
>;

/** Returns the message of a signal; `values` are its arguments by name. */
export function signalMessage<Table extends BusInterface, Member extends SignalOf<Table>>(
  path: string,
  table: Table,
  member: Member,
  values: SignalValues<Table, Member>,
): Omit<Outgoing, "serial"> {
  const args = Object.entries((table.signals[member] as Table["signals"][Member]).args);
  return {
    type: MESSAGE_TYPE.signal,
    path,
    interface: table.name,
    member,
    signature: args.map(([, type]) => type).join(""),
    body: args.map(([name]) => (values as Readonly<Record<string, unknown>>)[name]),
  };
}
