// The tree of D-Bus objects: the manager, machines and images below it, LogControl1 (org.freedesktop.machine1(5)).

import { IMAGE_PATH, MACHINE_PATH, MACHINE1_PATH } from "../api/machine1.ts";
import { LOG_CONTROL_PATH } from "../api/peers.ts";
import { busLabelEscape, busLabelUnescape } from "../base/names.ts";
import type { BoundInterface, BusCallContext, BusObject, ObjectTree } from "../ipc/bus/server.ts";
import type { Registry } from "../registry/machine/registry.ts";
import type { ImageObjects } from "./images/bus-bindings.ts";
import type { Interfaces } from "./machines/bus-bindings.ts";

const NONE: readonly string[] = [];

/** Finds objects by path. */
export function objectTree(registry: Registry, interfaces: Interfaces, images: ImageObjects): ObjectTree {
  const plain = (...children: string[]): BusObject => ({ interfaces: [], subject: null, children: () => children });
  const leaf = (bound: BoundInterface, subject: unknown): BusObject => ({
    interfaces: [bound],
    subject,
    children: () => NONE,
  });
  const fixed = new Map<string, BusObject>([
    ["/", plain("org")],
    ["/org", plain("freedesktop")],
    ["/org/freedesktop", plain("LogControl1", "machine1")],
    [MACHINE1_PATH, { interfaces: [interfaces.manager], subject: null, children: () => ["image", "machine"] }],
    [MACHINE_PATH, { interfaces: [], subject: null, children: () => machineLabels(registry) }],
    [IMAGE_PATH, { interfaces: [], subject: null, children: () => images.names().map(busLabelEscape).sort() }],
    [LOG_CONTROL_PATH, leaf(interfaces.logControl, null)],
  ]);
  const machine = (name: string): BusObject | null => {
    const found = registry.find(name);
    return found === null ? null : leaf(interfaces.machine, found);
  };
  const self = async (call: BusCallContext): Promise<BusObject | null> => {
    const found = registry.findByProcess((await call.caller()).pid);
    return found === null ? null : leaf(interfaces.machine, found);
  };
  return {
    find(path, call) {
      const known = fixed.get(path);
      if (known !== undefined) return known;
      const label = lastBelow(MACHINE_PATH, path);
      if (label === "self") return self(call);
      if (label !== null) return machine(busLabelUnescape(label));
      const imageLabel = lastBelow(IMAGE_PATH, path);
      if (imageLabel === null) return null;
      const image = images.find(busLabelUnescape(imageLabel));
      return image === null ? null : leaf(images.bound, image);
    },
  };
}

function machineLabels(registry: Registry): string[] {
  return Array.from(registry.list(), ({ name }) => busLabelEscape(name)).sort();
}

/** The single element of `path` below `parent`, or null. */
function lastBelow(parent: string, path: string): string | null {
  if (!path.startsWith(`${parent}/`)) return null;
  const label = path.slice(parent.length + 1);
  return label === "" || label.includes("/") ? null : label;
}
