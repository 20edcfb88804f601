// The running transfers of the daemon: their numbers, their limit, and the conflicts between them.
import { ErrnoError, MachinedError } from "../base/error.ts";
import type { Transfer } from "./transfer.ts";
import type { TransferPlan } from "./worker-command.ts";

const TRANSFERS_LIMIT = 64;

export class Transfers {
  readonly #byId = new Map<number, Transfer>();
  #last = 0;

  get size(): number {
    return this.#byId.size;
  }

  /** In the order in which they were started. */
  [Symbol.iterator](): IterableIterator<Transfer> {
    return this.#byId.values();
  }

  find(id: number): Transfer | null {
    return this.#byId.get(id) ?? null;
  }

  /** Returns the transfer of that number; throws NoSuchTransfer. */
  get(id: number): Transfer {
    const transfer = this.find(id);
    if (transfer === null) throw new MachinedError("NoSuchTransfer", `No transfer by id ${id}`);
    return transfer;
  }

  /** Returns the transfer whose worker has this process id, or null. */
  byWorker(pid: number): Transfer | null {
    for (const transfer of this) if (transfer.pid === pid) return transfer;
    return null;
  }

  /**
   * Throws TransferInProgress where the same download or an image of the same name is being made, `E2BIG` above the
   * limit.
   */
  check(plan: TransferPlan): void {
    for (const { plan: other } of this) {
      const isSamePull = plan.remote !== "" && plan.type === other.type && plan.remote === other.remote;
      if (isSamePull) throw inProgress(plan.remote);
      if (makes(plan) && makes(other) && plan.class === other.class && plan.local === other.local) {
        throw inProgress(plan.local);
      }
    }
    if (this.size >= TRANSFERS_LIMIT) throw new ErrnoError("E2BIG", "Too many transfers are running.");
  }

  /** Returns a new number; numbers are never reused. */
  nextId(): number {
    return ++this.#last;
  }

  add(transfer: Transfer): void {
    this.#byId.set(transfer.id, transfer);
  }

  remove(transfer: Transfer): void {
    this.#byId.delete(transfer.id);
  }
}

/** Whether a transfer makes an image under its local name. */
function makes({ type, local }: TransferPlan): boolean {
  return local !== "" && !type.startsWith("export-") && type !== "push-oci";
}

function inProgress(what: string): MachinedError {
  return new MachinedError("TransferInProgress", `Transfer for ${what} already in progress.`, {
    parameters: { remote: what },
  });
}
