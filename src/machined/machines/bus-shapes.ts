// How machines and their addresses look on D-Bus.

import { IMAGE_PATH, MACHINE_PATH } from "../../api/machine1.ts";
import { busLabelEscape } from "../../base/names.ts";
import type { Variant } from "../../base/variant.ts";
import type { LocalAddress } from "../../kernel/socket/netlink.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { UnitProperty } from "../../registry/ports.ts";

const paths = new WeakMap<Machine, string>();

/** The object path of a machine. */
export function machinePath(machine: Machine): string {
  let path = paths.get(machine);
  if (path === undefined) {
    path = `${MACHINE_PATH}/${busLabelEscape(machine.name)}`;
    paths.set(machine, path);
  }
  return path;
}

/** The object path of an image. */
export function imagePath(name: string): string {
  return `${IMAGE_PATH}/${busLabelEscape(name)}`;
}

/** a(iay) */
export function addressRows(addresses: readonly LocalAddress[]): [number, Uint8Array][] {
  return addresses.map(({ family, bytes }) => [family, bytes]);
}

/** a(sv) → what the service manager takes verbatim. */
export function unitProperties(rows: readonly (readonly [string, Variant])[]): UnitProperty[] {
  return rows.map(([name, { signature, value }]) => [name, signature, value]);
}
