// The interfaces that every object has: their names, and the values of org.freedesktop.DBus.Properties (D-Bus
// specification, "Standard Interfaces").
import type { BusProperty } from "../../api/table.ts";
import { Variant } from "../../base/variant.ts";
import type { BoundInterface, BusObject } from "./binding.ts";
import { BusError, DBUS_ERROR } from "./error.ts";

export const PROPERTIES = "org.freedesktop.DBus.Properties";
export const PROPERTY_METHODS: ReadonlySet<string> = new Set(["Get", "GetAll", "Set"]);
export const INTROSPECTABLE = "org.freedesktop.DBus.Introspectable";
export const PEER = "org.freedesktop.DBus.Peer";

const STANDARD = new Set([PEER, PROPERTIES, INTROSPECTABLE]);

/** Returns a property's interface and row; throws UnknownProperty. */
export function findProperty(object: BusObject, iface: string, name: string): [BoundInterface, BusProperty] {
  const bound = object.interfaces.find((candidate) => candidate.table.name === iface);
  const row = bound !== undefined && Object.hasOwn(bound.table.properties, name) && bound.table.properties[name];
  if (bound === undefined || !row) {
    throw new BusError(`${DBUS_ERROR}.UnknownProperty`, `Unknown interface ${iface} or property ${name}.`);
  }
  return [bound, row];
}

/** Returns the value of a property; throws UnknownProperty. */
export function getProperty(object: BusObject, iface: string, name: string): Variant {
  const [bound, row] = findProperty(object, iface, name);
  return new Variant(row.type, bound.getters[name]?.(object.subject as never));
}

/** Returns all properties of an interface, or of all interfaces for ""; throws UnknownInterface. */
export function getAll(object: BusObject, iface: string): Map<string, Variant> {
  const bound = object.interfaces.filter((candidate) => iface === "" || candidate.table.name === iface);
  if (bound.length === 0 && iface !== "" && !STANDARD.has(iface)) {
    throw new BusError(`${DBUS_ERROR}.UnknownInterface`, `Unknown interface '${iface}'.`);
  }
  const all = new Map<string, Variant>();
  for (const { table, getters } of bound) {
    for (const [name, row] of Object.entries(table.properties)) {
      if (row.hidden !== true) all.set(name, new Variant(row.type, getters[name]?.(object.subject as never)));
    }
  }
  return all;
}
