// The tree of a daemon's D-Bus objects: the manager, collections of objects below it, and LogControl1.
import { LOG_CONTROL_PATH } from "../api/peers.ts";
import type { BoundInterface, BusCallContext, BusObject, ObjectTree } from "../ipc/bus/binding.ts";
import { logControl } from "./control.ts";
import type { LogControlState } from "./log.ts";

/** Objects of one kind. A label is the last element of an object's path. */
export interface Collection {
  labels(): readonly string[];
  /**
   * Returns the object of a label, null where there is none. Asynchronous where it depends on the caller
   * (`…/machine/self`).
   */
  find(label: string, call: BusCallContext): BusObject | null | Promise<BusObject | null>;
}

const NONE: readonly string[] = [];
const none = () => NONE;

/** Returns an object with one interface and without children. */
export function leaf(bound: BoundInterface, subject: unknown): BusObject {
  return { interfaces: [bound], subject, children: none };
}

function branch(interfaces: readonly BoundInterface[], children: () => readonly string[]): BusObject {
  return { interfaces, subject: null, children };
}

interface TreeRoot {
  /** The path of the manager, directly below /org/freedesktop. */
  readonly path: string;
  readonly manager: BoundInterface;
  readonly log: LogControlState;
}

/** Returns the tree; each collection is below the manager, its key being the path element. */
export function objectTree(
  { path, manager, log }: TreeRoot,
  collections: Readonly<Record<string, Collection>>,
): ObjectTree {
  const names = [LOG_CONTROL_PATH, path].map((below) => below.slice("/org/freedesktop/".length));
  const below = Object.entries(collections).map(([name, collection]) => ({ parent: `${path}/${name}`, collection }));
  const fixed = new Map<string, BusObject>([
    ["/", branch([], () => ["org"])],
    ["/org", branch([], () => ["freedesktop"])],
    ["/org/freedesktop", branch([], () => names)],
    [path, branch([manager], () => Object.keys(collections))],
    [LOG_CONTROL_PATH, leaf(logControl(log), null)],
    ...below.map(({ parent, collection }) => [parent, branch([], () => collection.labels())] as const),
  ]);
  return {
    find(wanted, call) {
      const known = fixed.get(wanted);
      if (known !== undefined) return known;
      for (const { parent, collection } of below) {
        const label = labelBelow(parent, wanted);
        if (label !== null) return collection.find(label, call);
      }
      return null;
    },
  };
}

/** Returns the one element of `path` below `parent`; null where it is not a direct child. */
function labelBelow(parent: string, path: string): string | null {
  if (!path.startsWith(`${parent}/`)) return null;
  const label = path.slice(parent.length + 1);
  return label === "" || label.includes("/") ? null : label;
}
