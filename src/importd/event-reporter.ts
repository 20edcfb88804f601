// Tells machined of transfers, for its log of events (io.machined.Events.ReportTransfer, which root alone may call). Nobody
// waits for that: reports queue up to a limit, and a machined that is not there, or is systemd's own, is left alone for a while.
import { errnoNameOf } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { PROGRESS_UNKNOWN, type TransferResult } from "../base/vocabulary/transfer.ts";
import { type VarlinkClient, VarlinkError } from "../ipc/varlink/client.ts";
import { connectVarlink } from "../ipc/varlink/connect.ts";
import type { Transfer } from "./transfer.ts";

const METHOD = "io.machined.Events.ReportTransfer";
const QUEUE_LIMIT = 256;
const CALL_TIMEOUT_MS = 10_000;
/** How long the end of this daemon waits for the other one. */
const CLOSE_MS = 2000;
/** A daemon that ends is back after moments. */
const RETRY_MS = 1000;
const RETRIES = 30;
/** After this a manager that does not know the method is asked again: it may have been replaced. */
const STRANGER_MS = 60_000;
/** Progress of one transfer is told this often at most. */
const PROGRESS_MS = 1000;
/** Longer addresses are left out. */
const REMOTE_LENGTH = 1024;

interface Report {
  readonly event: "started" | "progress" | "ended";
  readonly transfer: number;
  readonly [field: string]: unknown;
}

export class EventReporter {
  readonly #path: string;
  readonly #log: Log;
  #queue: Report[] = [];
  #working: Promise<void> | null = null;
  #silentUntilMs = 0;
  readonly #closing = Promise.withResolvers<void>();
  #isClosing = false;

  /** `path`: the Varlink socket of the machine manager. */
  constructor(path: string, log: Log) {
    this.#path = path;
    this.#log = log;
  }

  /** Reports the transfer from now to its end. */
  follow(transfer: Transfer): void {
    let toldMs = Number.NEGATIVE_INFINITY;
    this.#report({ event: "started", ...factsOf(transfer) });
    transfer.follow({
      progress: () => {
        const nowMs = performance.now();
        if (transfer.progress === PROGRESS_UNKNOWN || nowMs - toldMs < PROGRESS_MS) return;
        toldMs = nowMs;
        this.#report({ event: "progress", ...factsOf(transfer), progress: transfer.progress });
      },
    });
  }

  /** Reports the end of a transfer. */
  ended(transfer: Transfer, result: TransferResult): void {
    this.#report({ event: "ended", ...factsOf(transfer), result });
  }

  /** Waits a little for what can be sent; the rest is dropped. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#closing.resolve();
    if (this.#working !== null) await Promise.race([this.#working, Bun.sleep(CLOSE_MS)]);
  }

  #report(report: Report): void {
    if (performance.now() < this.#silentUntilMs) return;
    this.#queue.push(report);
    if (this.#queue.length > QUEUE_LIMIT) this.#queue.shift();
    this.#working ??= this.#work().finally(() => {
      this.#working = null;
    });
  }

  async #work(): Promise<void> {
    for (let tries = 0; this.#queue.length > 0; tries++) {
      try {
        await this.#sendAll(() => {
          tries = 0;
        });
      } catch (error) {
        if (error instanceof VarlinkError) this.#giveUp(`it answers ${error.id}`);
        else if (errnoNameOf(error) === null) throw error;
        else if (this.#isClosing || tries >= RETRIES) this.#giveUp((error as Error).message);
        else await Promise.race([Bun.sleep(RETRY_MS), this.#closing.promise]);
      }
    }
  }

  async #sendAll(sent: () => void): Promise<void> {
    const client: VarlinkClient = await connectVarlink(this.#path);
    try {
      for (let report = this.#queue[0]; report !== undefined; report = this.#queue[0]) {
        await client.call(METHOD, report, { timeoutMs: CALL_TIMEOUT_MS });
        // The queue may have been cut meanwhile.
        if (this.#queue[0] === report) this.#queue.shift();
        sent();
      }
    } finally {
      client.close();
    }
  }

  #giveUp(why: string): void {
    this.#log.debug(`The machine manager is told of no transfers for now: ${why}`);
    this.#queue = [];
    this.#silentUntilMs = performance.now() + STRANGER_MS;
  }
}

/** What is said of a transfer, without the passwords of its address. */
function factsOf({ id, plan }: Transfer): Omit<Report, "event"> & { readonly transfer: number } {
  const remote = plan.remote.replace(/^([a-z]+:\/\/)[^/@]*@/i, "$1");
  return {
    transfer: id,
    transferType: plan.type.replace("-", "_"),
    imageClass: plan.class,
    local: plan.local === "" ? undefined : plan.local,
    remote: remote === "" || remote.length > REMOTE_LENGTH ? undefined : remote,
  };
}
