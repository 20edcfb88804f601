// io.machined.Events: the readers of the daemon's log, limited by user. Each receives events as fast as it reads them.
import { IoMachinedEvents } from "../../api/varlink/io-machined-events.ts";
import { invalidArgument, MachinedError } from "../../base/error.ts";
import { type Caller, isPrivileged } from "../../ipc/caller.ts";
import { type BoundVarlink, bindVarlink, type VarlinkCall } from "../../ipc/varlink/binding.ts";
import { shareOwner } from "../../kernel/process/share-owner.ts";
import type { EventLog, EventReply } from "./log.ts";
import { Reader, type Wanted } from "./reader.ts";

/**
 * How many readers a user other than root and the daemon's own may have: each event is filtered once for each reader.
 */
const READERS_LIMIT = 64;
const NAMES_LIMIT = 1024;

class Subscriptions {
  readonly #log: EventLog;
  /** By the owner of the share. */
  readonly #users = new Map<number, number>();

  constructor(log: EventLog) {
    this.#log = log;
  }

  /** Sends events until the reader has disconnected or has all that it requested; resolves to the last reply. */
  async serve(call: VarlinkCall<EventReply>, wanted: Wanted): Promise<EventReply> {
    const leave = this.#admit(await call.caller());
    let stop = () => {};
    try {
      const { promise, resolve } = Promise.withResolvers<void>();
      const reader = new Reader(this.#log, wanted, resolve);
      const wake = call.feed(() => reader.next());
      stop = this.#log.follow(wake);
      call.onGone(resolve);
      wake();
      await promise;
      return reader.last();
    } finally {
      stop();
      leave();
    }
  }

  #admit(caller: Caller): () => void {
    const owner = shareOwner(caller.uid);
    const count = this.#users.get(owner) ?? 0;
    if (count >= READERS_LIMIT && !isPrivileged(caller)) {
      throw new MachinedError("LimitsExceeded", `User ${owner} has ${count} readers of events already`);
    }
    this.#users.set(owner, count + 1);
    return () => {
      const left = (this.#users.get(owner) ?? 1) - 1;
      if (left > 0) this.#users.set(owner, left);
      else this.#users.delete(owner);
    };
  }
}

/** Binds io.machined.Events to a log. */
export function eventsVarlink(log: EventLog): BoundVarlink {
  const subscriptions = new Subscriptions(log);
  return bindVarlink(IoMachinedEvents, {
    Subscribe: (call, { cursor, sinceUSec, names, types, follow = true }) => {
      if ((names?.length ?? 0) > NAMES_LIMIT) throw invalidArgument("names", "Too many names");
      return subscriptions.serve(call, {
        cursor: cursor ?? null,
        sinceUsec: sinceUSec === undefined ? null : Number(sinceUSec),
        names: names === undefined ? null : new Set(names),
        types: types === undefined ? null : new Set(types),
        follows: follow,
      });
    },
    ReportTransfer: (_call, { transfer, progress, event, local, ...facts }) => {
      const reported = { type: "transfer", event, local, transfer: Number(transfer), ...facts } as const;
      log.append(progress === undefined ? reported : { ...reported, progress: Number(progress) });
    },
  });
}
