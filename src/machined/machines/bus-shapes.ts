// The D-Bus representation of machines and their addresses.

import { IMAGE_PATH, MACHINE_PATH } from "../../api/machine1.ts";
import { busLabelEscape } from "../../base/names.ts";
import type { Variant } from "../../base/variant.ts";
import type { LocalAddress } from "../../kernel/socket/netlink.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { UnitProperty } from "../../registry/ports.ts";

const paths = new WeakMap<Machine, string>();

/** Returns the object path of a machine. */
export function machinePath(machine: Machine): string {
  let path = paths.get(machine);
  if (path === undefined) {
    path = `${MACHINE_PATH}/${busLabelEscape(machine.name)}`;
    paths.set(machine, path);
  }
  return path;
}

/** Returns the object path of an image. */
export function imagePath(name: string): string {
  return `${IMAGE_PATH}/${busLabelEscape(name)}`;
}

/** Returns addresses as `a(iay)`. */
export function addressRows(addresses: readonly LocalAddress[]): [number, Uint8Array][] {
  return addresses.map(({ family, bytes }) => [family, bytes]);
}

/** Converts `a(sv)` to properties, which the service manager gets verbatim. */
export function unitProperties(rows: readonly (readonly [string, Variant])[]): UnitProperty[] {
  return rows.map(([name, { signature, value }]) => [name, signature, value]);
}
