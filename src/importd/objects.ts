// The D-Bus objects of transfers (org.freedesktop.import1(5)).
import { TRANSFER_PATH } from "../api/import1.ts";
import { type Collection, leaf } from "../daemon/object-tree.ts";
import type { BoundInterface } from "../ipc/bus/binding.ts";
import type { Transfer } from "./transfer.ts";
import type { Transfers } from "./transfers.ts";

/** Returns the object path of a transfer. */
export function transferPath({ id }: Transfer): string {
  return `${TRANSFER_PATH}/_${id}`;
}

/** Returns the fields that identify a transfer in replies and signals. */
export function transferReference(transfer: Transfer) {
  return { transfer_id: transfer.id, transfer_path: transferPath(transfer) };
}

const LABEL = /^_([1-9][0-9]{0,9})$/;

/** The collection of D-Bus objects of transfers, whose names are the transfers' numbers. */
export function transferObjects(transfers: Transfers, bound: BoundInterface): Collection {
  return {
    labels: () => [...transfers].map(({ id }) => `_${id}`),
    find(label) {
      const id = LABEL.exec(label)?.[1];
      const transfer = id === undefined ? null : transfers.find(Number(id));
      return transfer === null ? null : leaf(bound, transfer);
    },
  };
}
