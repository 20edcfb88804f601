// The tree of D-Bus objects: the manager, the transfers below it, LogControl1 (org.freedesktop.import1(5)).
import { IMPORT1_PATH, TRANSFER_PATH } from "../api/import1.ts";
import { LOG_CONTROL_PATH } from "../api/peers.ts";
import type { BoundInterface, BusObject, ObjectTree } from "../ipc/bus/server.ts";
import type { Transfer } from "./transfer.ts";
import type { Transfers } from "./transfers.ts";

export interface Interfaces {
  readonly manager: BoundInterface;
  readonly transfer: BoundInterface;
  readonly logControl: BoundInterface;
}

/** The object path of a transfer. */
export function transferPath({ id }: Transfer): string {
  return `${TRANSFER_PATH}/_${id}`;
}

/** Finds objects by path. */
export function objectTree(transfers: Transfers, { manager, transfer, logControl }: Interfaces): ObjectTree {
  const plain = (...children: string[]): BusObject => ({ interfaces: [], subject: null, children: () => children });
  const fixed = new Map<string, BusObject>([
    ["/", plain("org")],
    ["/org", plain("freedesktop")],
    ["/org/freedesktop", plain("LogControl1", "import1")],
    [IMPORT1_PATH, { interfaces: [manager], subject: null, children: () => ["transfer"] }],
    [TRANSFER_PATH, { interfaces: [], subject: null, children: () => [...transfers].map(({ id }) => `_${id}`) }],
    [LOG_CONTROL_PATH, { interfaces: [logControl], subject: null, children: () => [] }],
  ]);
  return {
    find(path) {
      const known = fixed.get(path);
      if (known !== undefined) return known;
      const found = transferOf(transfers, path);
      return found === null ? null : { interfaces: [transfer], subject: found, children: () => [] };
    },
  };
}

const TRANSFER_LABEL = /^\/_([1-9][0-9]{0,9})$/;

function transferOf(transfers: Transfers, path: string): Transfer | null {
  if (!path.startsWith(TRANSFER_PATH)) return null;
  const id = TRANSFER_LABEL.exec(path.slice(TRANSFER_PATH.length))?.[1];
  return id === undefined ? null : transfers.find(Number(id));
}
