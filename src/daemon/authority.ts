// Questions to polkit (org.freedesktop.PolicyKit1.Authority), over a connection of their own.
//
// A question is answered when a person has answered, or never. A broker allows each connection so many calls without an
// answer (128 with dbus-daemon); on the daemon's main connection the questions of one user would use them up for everybody.
// Here they are counted: so many of each user, so many in all with a rest for those who have none, apart for those that a person is asked and those that rules
// alone decide. The others wait for their turn. Each question ends: with its answer, with its deadline, or when the caller
// leaves; then polkit is told. A polkit that does not even take that back loses the connection, and with it all questions.
import { MachinedError } from "../base/error.ts";
import { FairPlaces, type Place } from "../base/fair-places.ts";
import { Variant } from "../base/variant.ts";
import { type BusClient, connectBus } from "../ipc/bus/client.ts";
import { BusError } from "../ipc/bus/error.ts";
import type { BusTarget } from "../ipc/bus/transport.ts";
import type { Caller } from "../ipc/caller.ts";
import { processStartTicks } from "../kernel/process/process-file.ts";
import { shareOwner } from "../kernel/process/share-owner.ts";

const AUTHORITY = {
  destination: "org.freedesktop.PolicyKit1",
  path: "/org/freedesktop/PolicyKit1/Authority",
  interface: "org.freedesktop.PolicyKit1.Authority",
};

const UNLIMITED_MS = 0x7fff_ffff;

/** Together below the 128 calls that a broker lets a connection have, with room for what is being cancelled. */
const QUESTIONS = {
  /** A person is asked, and takes their time at a password prompt. */
  people: { limits: { all: 64, each: 8, waiting: 128 }, deadlineMs: 300_000 },
  /** Rules decide; administrators' own may take a while. */
  rules: { limits: { all: 32, each: 8, waiting: 1024 }, deadlineMs: 30_000 },
} as const;

/** How long polkit has to take back a question. */
const CANCEL_GRACE_MS = 10_000;

/** What is asked for. `details` are shown to whoever decides; `ownerUid` is a user who needs not be asked about. */
export interface Permission {
  readonly action: string;
  readonly details: Readonly<Record<string, string>>;
  readonly ownerUid?: number;
}

export interface Asking {
  readonly interactive: boolean;
  caller(): Promise<Caller>;
  onGone(handler: () => void): () => void;
}

interface Decision {
  readonly authorized: boolean;
  readonly challenge: boolean;
  readonly details: ReadonlyMap<string, string>;
}

interface AuthorityOptions {
  /** Other times than usual, for tests. */
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

  /** Asks about a caller. Throws AccessDenied where nobody answers, LimitsExceeded where too many questions wait. */
  async ask(call: Asking, caller: Caller, permission: Permission): Promise<Decision> {
    const kind = call.interactive ? "people" : "rules";
    const owner = shareOwner(caller.uid);
    const place = this.#places[kind].take(owner, `Too many questions about user ${owner} wait for an answer`);
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
      // Where a question is out, its place is given back with the answer.
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
    const cancellation = `machined-${process.pid}-${++this.#questions}`;
    let isOpen = true;
    ended.catch(() => {
      if (isOpen) this.#cancel(bus, cancellation, () => isOpen);
    });
    try {
      const flags = call.interactive ? 1 : 0;
      const details = Object.entries(permission.details);
      const [answer] = await withSubject(caller, (subject) =>
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

  /** Nobody waits for the answer any more. It comes all the same, as a refusal, unless polkit hangs. */
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
      throw denied(error);
    }
  }

  #connect(): Promise<BusClient> {
    const opening = connectBus(this.#target, "none");
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

/** No polkit at all, or one that failed: who cannot be asked says no. */
function isRefusal(error: BusError): boolean {
  return (
    /^org\.freedesktop\.DBus\.Error\.(ServiceUnknown|NameHasNoOwner|Spawn\.\w+|Disconnected|NoReply)$/.test(
      error.errorName,
    ) || /^org\.freedesktop\.PolicyKit1\.Error\.(Failed|Cancelled|NotAuthorized)$/.test(error.errorName)
  );
}

type Subject = readonly [string, readonly (readonly [string, Variant])[]];

/**
 * Calls `ask` with the caller as polkit knows it; what is opened for that is closed when the call is on its way. A process
 * is named by its pidfd, which polkit takes since 124; an older one goes by the number and the time of its start, which are
 * read while the pidfd says that they are of that process.
 */
function withSubject<T>(caller: Caller, ask: (subject: Subject) => T): T {
  const { subject } = caller;
  if (subject.kind === "bus-name") return ask(["system-bus-name", [["name", new Variant("s", subject.name)]]]);
  try {
    using process = caller.openProcess();
    const { pid, pidfd } = process;
    const startTicks = process.verified(() => processStartTicks(pid));
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
    throw denied(error);
  }
}
