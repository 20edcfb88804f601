// Authorization checks by polkit (org.freedesktop.PolicyKit1.Authority), over a bus connection of their own.
//
// polkit replies to an interactive check only after the user has answered the prompt, which may be never. A broker
// limits the unanswered calls of a connection (dbus-daemon: 128); on the daemon's main connection, one user's checks
// could use them up. So checks are limited for each user and in all (base/fair-share.ts), separately for interactive
// checks and those that rules alone decide; further checks wait. Each check ends with polkit's reply, at its deadline,
// or when the caller disconnects; in the last two cases it is cancelled at polkit. If polkit does not end a cancelled
// check in time either, the connection is closed, which ends all checks.
import { lacksResources } from "../../base/absence.ts";
import { MachinedError } from "../../base/error.ts";
import { FairPlaces, type Place } from "../../base/fair-places.ts";
import { Variant } from "../../base/variant.ts";
import { type BusClient, connectBus } from "../../ipc/bus/client.ts";
import { BusError } from "../../ipc/bus/error.ts";
import type { BusTarget } from "../../ipc/bus/transport.ts";
import type { Caller } from "../../ipc/caller.ts";
import { startTicksPatiently } from "../../kernel/process/process-link.ts";
import { shareOwner } from "../../kernel/process/share-owner.ts";

const AUTHORITY = {
  destination: "org.freedesktop.PolicyKit1",
  path: "/org/freedesktop/PolicyKit1/Authority",
  interface: "org.freedesktop.PolicyKit1.Authority",
};

const UNLIMITED_MS = 0x7fff_ffff;

/** Together below the broker's limit of 128 unanswered calls, with room for checks that are being cancelled. */
const QUESTIONS = {
  /** Interactive checks: the user may take long at the password prompt. */
  people: { limits: { all: 64, each: 8, waiting: 128 }, deadlineMs: 300_000 },
  /** Checks that rules alone decide; an administrator's rules may run programs. */
  rules: { limits: { all: 32, each: 8, waiting: 1024 }, deadlineMs: 30_000 },
} as const;

/** How long polkit may take to end a cancelled check. */
const CANCEL_GRACE_MS = 10_000;

/** What is checked. polkit rules and prompts see `details`; the user `ownerUid` is permitted without a check. */
export interface Permission {
  readonly action: string;
  readonly details: Readonly<Record<string, string>>;
  readonly ownerUid?: number;
}

/** The call whose permission is checked. */
export interface Asking {
  /** Whether polkit may ask the user for a password. */
  readonly interactive: boolean;
  caller(): Promise<Caller>;
  /** Calls `handler` when the caller disconnects; returns a function that unregisters it. */
  onGone(handler: () => void): () => void;
}

interface Decision {
  readonly authorized: boolean;
  /** Authentication of the user would authorize the call. */
  readonly challenge: boolean;
  readonly details: ReadonlyMap<string, string>;
}

interface AuthorityOptions {
  /** Replaces the default times, for tests. */
  readonly deadlineMs?: { readonly people: number; readonly rules: number };
  readonly cancelGraceMs?: number;
}

export class Authority {
  readonly #target: BusTarget;
  readonly #cancelGraceMs: number;
  readonly #deadlineMs: { readonly people: number; readonly rules: number };
  readonly #places = {
    people: new FairPlaces<number>(QUESTIONS.people.limits),
    rules: new FairPlaces<number>(QUESTIONS.rules.limits),
  };
  #bus: Promise<BusClient> | null = null;
  #questions = 0;
  #closed = false;

  constructor(target: BusTarget, options: AuthorityOptions = {}) {
    this.#target = target;
    this.#cancelGraceMs = options.cancelGraceMs ?? CANCEL_GRACE_MS;
    this.#deadlineMs = options.deadlineMs ?? {
      people: QUESTIONS.people.deadlineMs,
      rules: QUESTIONS.rules.deadlineMs,
    };
  }

  /**
   * Checks a permission of a caller. Throws AccessDenied without a reply, LimitsExceeded where too many checks of the
   * user wait.
   */
  async ask(call: Asking, caller: Caller, permission: Permission): Promise<Decision> {
    const kind = call.interactive ? "people" : "rules";
    const owner = shareOwner(caller.uid);
    const place = this.#places[kind].take(owner, `Too many authorization checks of user ${owner} are pending`);
    const ended = Promise.withResolvers<never>();
    ended.promise.catch(() => {});
    const end = (why: string) => ended.reject(denied(new Error(why)));
    const timer = setTimeout(() => end("nobody answered in time"), this.#deadlineMs[kind]);
    timer.unref();
    const stop = call.onGone(() => end("the caller left"));
    try {
      return await Promise.race([this.#askInTurn(call, caller, permission, place, ended.promise), ended.promise]);
    } finally {
      clearTimeout(timer);
      stop();
      // Ends the waiting. A check that was sent keeps its place until polkit replies.
      ended.reject(denied());
    }
  }

  close(): void {
    this.#closed = true;
    this.#hangUp();
  }

  async #askInTurn(
    call: Asking,
    caller: Caller,
    permission: Permission,
    place: Place,
    ended: Promise<never>,
  ): Promise<Decision> {
    try {
      await Promise.race([place.granted, ended]);
      return await this.#question(await Promise.race([this.#connection(), ended]), call, caller, permission, ended);
    } finally {
      place.leave();
    }
  }

  async #question(
    bus: BusClient,
    call: Asking,
    caller: Caller,
    permission: Permission,
    ended: Promise<never>,
  ): Promise<Decision> {
    const startTicks = await Promise.race([startTicksOf(caller), ended]);
    const cancellation = `machined-${process.pid}-${++this.#questions}`;
    let isOpen = true;
    ended.catch(() => {
      if (isOpen) this.#cancel(bus, cancellation, () => isOpen);
    });
    try {
      const flags = call.interactive ? 1 : 0;
      const details = Object.entries(permission.details);
      const [answer] = await withSubject(caller, startTicks, (subject) =>
        bus.call({
          ...AUTHORITY,
          member: "CheckAuthorization",
          signature: "(sa{sv})sa{ss}us",
          body: [subject, permission.action, details, flags, cancellation],
          timeoutMs: UNLIMITED_MS,
        }),
      );
      const [authorized, challenge, more] = answer as [boolean, boolean, Map<string, string>];
      return { authorized, challenge, details: more };
    } catch (error) {
      throw error instanceof BusError && isRefusal(error) ? denied(error) : error;
    } finally {
      isOpen = false;
    }
  }

  /**
   * Cancels a check that nobody waits for any more. polkit still replies, with an error; if it does not, the connection
   * is closed.
   */
  #cancel(bus: BusClient, cancellation: string, isOpen: () => boolean): void {
    bus.send({
      ...{ type: 1, ...AUTHORITY, member: "CancelCheckAuthorization" },
      ...{ signature: "s", body: [cancellation] },
    });
    const timer = setTimeout(() => {
      if (isOpen()) bus.close();
    }, this.#cancelGraceMs);
    timer.unref();
  }

  async #connection(): Promise<BusClient> {
    if (this.#closed) throw denied();
    this.#bus ??= this.#connect();
    try {
      return await this.#bus;
    } catch (error) {
      throw unlessShort(error);
    }
  }

  #connect(): Promise<BusClient> {
    const opening = connectBus(this.#target, "lent");
    const forget = () => {
      if (this.#bus === opening) this.#bus = null;
    };
    opening.then((bus) => bus.onClose(forget), forget);
    return opening;
  }

  #hangUp(): void {
    const bus = this.#bus;
    this.#bus = null;
    bus?.then((client) => client.close()).catch(() => {});
  }
}

function denied(cause?: unknown): MachinedError {
  return new MachinedError("AccessDenied", "Access denied", cause === undefined ? {} : { cause });
}

/**
 * Returns AccessDenied for a question that cannot be asked; the error itself where the daemon is short of descriptors
 * or memory: the caller may have the permission.
 */
function unlessShort(error: unknown): unknown {
  return lacksResources(error) ? error : denied(error);
}

/** Whether an error reply means refusal: polkit is absent, failed, or cancelled the check. */
function isRefusal(error: BusError): boolean {
  return (
    /^org\.freedesktop\.DBus\.Error\.(ServiceUnknown|NameHasNoOwner|Spawn\.\w+|Disconnected|NoReply)$/.test(
      error.errorName,
    ) || /^org\.freedesktop\.PolicyKit1\.Error\.(Failed|Cancelled|NotAuthorized)$/.test(error.errorName)
  );
}

type Subject = readonly [string, readonly (readonly [string, Variant])[]];

/**
 * Returns the start time of a caller's process, which is read while its pidfd proves that the PID is still that
 * process's; 0 for a caller on a bus, whose name identifies it. Throws AccessDenied, or an error with errno where the
 * daemon is short of descriptors or memory.
 */
async function startTicksOf(caller: Caller): Promise<bigint> {
  if (caller.subject.kind === "bus-name") return 0n;
  try {
    using process = caller.openProcess();
    const startTicks = await startTicksPatiently(process.pid);
    process.requireAlive();
    return startTicks;
  } catch (error) {
    throw unlessShort(error);
  }
}

/**
 * Calls `ask` with the caller as a polkit subject; the process is closed when `ask` returns, after the message was
 * encoded. A process is identified by its pidfd, which polkit supports since 124; older versions use the PID and start
 * time.
 */
function withSubject<T>(caller: Caller, startTicks: bigint, ask: (subject: Subject) => T): T {
  const { subject } = caller;
  if (subject.kind === "bus-name") return ask(["system-bus-name", [["name", new Variant("s", subject.name)]]]);
  try {
    using process = caller.openProcess();
    const { pid, pidfd } = process;
    return ask([
      "unix-process",
      [
        ["pid", new Variant("u", pid)],
        ["start-time", new Variant("t", startTicks)],
        ["uid", new Variant("i", caller.uid)],
        ...(pidfd === null ? [] : [["pidfd", new Variant("h", pidfd)] as const]),
      ],
    ]);
  } catch (error) {
    throw unlessShort(error);
  }
}
