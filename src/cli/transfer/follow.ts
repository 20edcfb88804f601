// Starts a transfer and follows it to its end: prints its log, and on a terminal a progress bar. Ctrl-C ends the
// client; the transfer continues (importctl(1)), unless the caller wants it cancelled.

import { IMPORT1_NAME, IMPORT1_PATH, ImportManager, Transfer } from "../../api/import1.ts";
import type { LogLevel } from "../../base/log-level.ts";
import { BROKER } from "../../base/vocabulary/bus-peers.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { attempt, Failure, isBusFailure } from "../session/failure.ts";
import type { Bus } from "../session/ports.ts";
import type { Session } from "../session/session.ts";
import { ProgressBar } from "./progress.ts";
import { callFirstKnown, type ManagerCall, withTransferDaemon } from "./service.ts";

const LEVELS: readonly LogLevel[] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
const PRIORITY_BITS = 7;
const INFO = 6;

/** Something that happened to a transfer: a line of its log, its progress (0 to 1), or its end. */
interface Happening {
  /** The object path of the transfer. */
  readonly path: string;
  readonly log?: { readonly priority: number; readonly line: string };
  readonly progress?: number;
  readonly result?: string;
}

/** A call that starts a transfer. */
export type StartCall = ManagerCall<
  Exclude<ManagerCall["member"], "ListTransfers" | "ListTransfersEx" | "CancelTransfer" | "ListImages">
>;

/** What Ctrl-C does: `leave` the transfer running, or `cancel` it. */
export type OnInterrupt = "leave" | "cancel";

/**
 * Follows a transfer by the replies of a Varlink call: the first contains its id, the others what happens to it.
 * `isEnd` says whether an error reply reports a failed transfer, whose reason the log has; other errors are thrown.
 * Returns the exit status.
 */
export async function followReplies(
  session: Session,
  replies: AsyncIterable<FollowedReply>,
  isEnd: (error: unknown) => boolean,
): Promise<number> {
  const following = new Following(session, null, "upload");
  const id = Promise.withResolvers<number>();
  const readReplies = async (): Promise<never> => {
    for await (const reply of replies) {
      if (reply.id !== undefined) id.resolve(reply.id);
      const { priority = INFO, message = "" } = reply.log ?? {};
      if (reply.log !== undefined) following.handle({ path: OWN, log: { priority, line: message } });
      if (reply.progress !== undefined) following.handle({ path: OWN, progress: reply.progress });
    }
    id.reject(new Failure("The transfer daemon ended the call without starting a transfer."));
    following.handle({ path: OWN, result: "done" });
    return new Promise<never>(() => {});
  };
  const gone = readReplies().catch((error: unknown): Promise<never> => {
    id.reject(error);
    if (!isEnd(error)) throw error;
    following.handle({ path: OWN, result: "failed" });
    return new Promise<never>(() => {});
  });
  gone.catch(() => {});
  return following.run(await id.promise, OWN, gone);
}

/** The members of a reply that are used. */
export interface FollowedReply {
  readonly id?: number;
  readonly log?: { readonly message?: string; readonly priority?: number };
  readonly progress?: number;
}

/** A placeholder for the object path: the replies of a Varlink call are all about one transfer. */
const OWN = "";

/** What `follow()` returns where Ctrl-C has cancelled the transfer: 128 and the number of SIGINT. */
export const CANCELLED = 130;

/**
 * Starts a transfer by the first of the calls that the daemon has, and follows it. Returns the exit status; CANCELLED
 * after Ctrl-C with `cancel`.
 */
export async function follow(
  session: Session,
  calls: readonly StartCall[],
  onInterrupt: OnInterrupt = "leave",
): Promise<number> {
  await startPolkitAgent(session);
  return attempt("Failed to transfer image", () =>
    withTransferDaemon(session, "signals", async (bus) => {
      const cancel = async (id: number) => {
        await callFirstKnown(session, bus, [{ member: "CancelTransfer", args: { transfer_id: id } }]);
      };
      const following = new Following(session, onInterrupt === "cancel" ? cancel : null);
      const unsubscribe = await listen(bus, (happening) => following.handle(happening));
      const gone = watchDaemon(bus);
      try {
        const { result } = await callFirstKnown<StartCall["member"]>(session, bus, calls);
        return await following.run(result.transfer_id, result.transfer_path, gone.promise);
      } finally {
        gone.stop();
        for (const end of unsubscribe) void end();
      }
    }),
  );
}

/**
 * Subscribes to the signals about all transfers. Must be done before the transfer is started, because that may end at
 * once. Returns the functions that unsubscribe.
 */
async function listen(bus: Bus, handle: (happening: Happening) => void): Promise<(() => Promise<void>)[]> {
  const ofTransfer = { sender: IMPORT1_NAME, interface: Transfer.name };
  const ofManager = { sender: IMPORT1_NAME, path: IMPORT1_PATH, interface: ImportManager.name };
  return Promise.all([
    bus.subscribe({ ...ofTransfer, member: "LogMessage" }, (body, { path }) => {
      const [priority, line] = body as [number, string];
      handle({ path, log: { priority, line } });
    }),
    bus.subscribe({ ...ofTransfer, member: "ProgressUpdate" }, (body, { path }) => {
      handle({ path, progress: body[0] as number });
    }),
    bus.subscribe({ ...ofManager, member: "TransferRemoved" }, (body) => {
      const [, path, result] = body as [number, string, string];
      handle({ path, result });
    }),
  ]);
}

/**
 * The promise rejects when the daemon or the bus connection ends, because no signal would report the transfer's end.
 */
function watchDaemon(bus: Bus): { promise: Promise<never>; stop(): void } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  const lost = () => reject(new Failure("The transfer daemon ended before the transfer did."));
  bus.onClose(lost);
  const rule = { sender: BROKER, interface: BROKER, member: "NameOwnerChanged", arg0: IMPORT1_NAME };
  const subscription = bus.subscribe(rule, ([, old, owner]) => {
    if (old !== "" && owner === "") lost();
  });
  subscription.catch((error: unknown) => {
    if (!isBusFailure(error)) throw error;
  });
  return { promise, stop: () => void subscription.then((end) => end()).catch(() => {}) };
}

/** One transfer that is followed. */
class Following {
  readonly #session: Session;
  /** Cancels the transfer of that id at Ctrl-C; null to leave it running. */
  readonly #cancel: ((id: number) => Promise<void>) | null;
  readonly #what: "download" | "upload";
  readonly #bar: ProgressBar;
  /** What happened to any transfer before the object path of this one was known. */
  readonly #early: Happening[] = [];
  readonly #end = Promise.withResolvers<number>();
  #path: string | null = null;
  #isCancelled = false;

  constructor(
    session: Session,
    cancel: ((id: number) => Promise<void>) | null,
    what: "download" | "upload" = "download",
  ) {
    this.#session = session;
    this.#what = what;
    this.#cancel = cancel;
    this.#bar = new ProgressBar(session);
  }

  /** Prints what happened to this transfer. Its path is in the reply of the call; signals before the reply are kept. */
  handle(happening: Happening): void {
    if (this.#path === null) this.#early.push(happening);
    else if (happening.path === this.#path) this.#show(happening);
  }

  /** Prints log and progress until the transfer ends or the user interrupts the client. */
  async run(id: number, path: string, gone: Promise<never>): Promise<number> {
    const { settings, report } = this.#session;
    // Before the line that promises what Ctrl-C does.
    const interrupted = this.#session.ports.interrupted();
    try {
      if (!settings.quiet && this.#cancel === null) {
        const advice = `Press C-c to continue ${this.#what} in background.`;
        this.#bar.above(() => report.info(`Enqueued transfer job ${id}. ${advice}`));
      }
      this.#path = path;
      for (const happening of this.#early.splice(0)) this.handle(happening);
      const status = await Promise.race([this.#end.promise, gone, interrupted.promise.then(() => this.#interrupt(id))]);
      return this.#isCancelled ? CANCELLED : status;
    } finally {
      interrupted.stop();
      this.#bar.end();
    }
  }

  /**
   * Handles Ctrl-C. Waits for the end of a cancelled transfer, but not at a second Ctrl-C, with which the user gives up
   * a daemon that does not end it.
   */
  async #interrupt(id: number): Promise<number> {
    if (this.#cancel === null) return this.#leave(id);
    this.#isCancelled = true;
    const again = this.#session.ports.interrupted();
    try {
      const cancelled = this.#cancel(id).then(() => this.#end.promise);
      return await Promise.race([cancelled, again.promise.then(() => this.#leave(id))]);
    } finally {
      again.stop();
    }
  }

  #leave(id: number): number {
    const { settings, report } = this.#session;
    const cancel = `Use "importctl cancel-transfer ${id}" to abort transfer.`;
    this.#bar.clear();
    if (!settings.quiet) report.info(`Continuing ${this.#what} in the background. ${cancel}`);
    return 1;
  }

  #show({ log, progress, result }: Happening): void {
    if (progress !== undefined) this.#bar.set(progress);
    if (log !== undefined) this.#line(log.priority & PRIORITY_BITS, log.line);
    if (result !== undefined) this.#end.resolve(result === "done" ? 0 : 1);
  }

  #line(priority: number, line: string): void {
    const { settings, report } = this.#session;
    if (settings.quiet && priority >= INFO) return;
    if (priority >= INFO && this.#bar.absorbs(line)) return;
    this.#bar.above(() => report.log(LEVELS[priority] as LogLevel, line));
  }
}
