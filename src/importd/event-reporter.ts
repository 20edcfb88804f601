// Reports transfers to machined, for its log of events (io.machined.Events.ReportTransfer, which only root may call).
// Transfers do not wait for this: reports are queued up to a limit. While machined is missing, or is systemd's own,
// they are dropped.
import { errnoNameOf } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { PROGRESS_UNKNOWN, type TransferResult } from "../base/vocabulary/transfer.ts";
import { type VarlinkClient, VarlinkError } from "../ipc/varlink/client.ts";
import { connectVarlink } from "../ipc/varlink/connect.ts";
import type { Transfer } from "./transfer.ts";

const METHOD = "io.machined.Events.ReportTransfer";
const QUEUE_LIMIT = 256;
const CALL_TIMEOUT_MS = 10_000;
/** How long this daemon waits for machined at its end. */
const CLOSE_MS = 2000;
/** The pause before a failed report is sent again: a restarted machined is available after a moment. */
const RETRY_MS = 1000;
const RETRIES = 30;
/** For how long reports are dropped after a machined that does not know the method, or is not available. */
const STRANGER_MS = 60_000;
/** The shortest interval between two reports of the progress of a transfer. */
const PROGRESS_MS = 1000;
/** Longer URLs and references are omitted. */
const REMOTE_LENGTH = 1024;

interface Report {
  readonly event: "started" | "progress" | "ended";
  readonly transfer: number;
  readonly [field: string]: unknown;
}

/** Sends reports one after the other. `close()` must be called at the end of the daemon. */
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

  /** Reports the start of the transfer, and from now on its progress. */
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

  /** Sends queued reports for at most CLOSE_MS; the rest is dropped. */
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
        // The report may have been dropped from a full queue meanwhile.
        if (this.#queue[0] === report) this.#queue.shift();
        sent();
      }
    } finally {
      client.close();
    }
  }

  #giveUp(why: string): void {
    this.#log.debug(`Transfers are not reported to the machine manager for ${STRANGER_MS / 1000} s: ${why}`);
    this.#queue = [];
    this.#silentUntilMs = performance.now() + STRANGER_MS;
  }
}

/** Returns the fields of a report about a transfer, without passwords in its URL. */
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
