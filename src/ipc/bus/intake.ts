// Calls from a bus, where all senders share one connection: each sender's calls are started in their order, users take
// turns, and none is started while the broker does not read what we send. The resources of a sender's unanswered calls
// are limited; further calls are refused without being decoded.
import { shareOwner } from "../../kernel/process/share-owner.ts";
import type { FairTurns } from "../fair-turns.ts";
import type { Outgoing } from "../message/message.ts";
import { CALL_DESCRIPTOR_LIMIT, type Origin } from "./call.ts";
import type { Incoming } from "./stream.ts";

export interface IntakeLimits {
  /** Unanswered calls of one sender. */
  readonly calls: number;
  /** Memory of a sender's unanswered calls. */
  readonly bytes: number;
  /** Memory of all unanswered calls. When it is used up, each sender is limited to SMALL_PART of it. */
  readonly totalBytes: number;
  /** Descriptors of a sender's unanswered calls. */
  readonly descriptors: number;
  /** Descriptors of all unanswered calls. When they are used up, each sender may have a few. */
  readonly totalDescriptors: number;
}

const LIMITS: IntakeLimits = {
  calls: 512,
  bytes: 8 << 20,
  totalBytes: 32 << 20,
  descriptors: 64,
  totalDescriptors: 1024,
};
const SMALL_PART = 1 / 128;
/** How many users of senders are cached. */
const KNOWN_LIMIT = 1024;

/** The part of BusServer that is used here. */
export interface Answering {
  dispatch(message: Incoming, origin: Origin): Promise<void> | null;
  refuse(message: Incoming, origin: Origin, text: string): void;
}

/** The part of BusClient that is used here. */
export interface Broker {
  readonly takesMore: boolean;
  send(message: Omit<Outgoing, "serial">): void;
  driver(member: string, signature: string, body: readonly unknown[]): Promise<unknown[]>;
}

interface Waiting {
  readonly message: Incoming;
  readonly origin: Origin;
}

interface Sender {
  readonly name: string;
  readonly calls: Waiting[];
  isQueued: boolean;
  unanswered: number;
  bytes: number;
  descriptors: number;
}

export class BusIntake {
  readonly #server: Answering;
  readonly #broker: Broker;
  readonly #turns: FairTurns;
  readonly #limits: IntakeLimits;
  readonly #senders = new Map<string, Sender>();
  /** Users by unique name, which is never reused. Null: the broker has not replied yet. */
  readonly #users = new Map<string, number | null>();
  #totalBytes = 0;
  #totalDescriptors = 0;

  constructor(server: Answering, broker: Broker, turns: FairTurns, limits: IntakeLimits = LIMITS) {
    this.#server = server;
    this.#broker = broker;
    this.#turns = turns;
    this.#limits = limits;
  }

  /** Starts a call, now or when it is its sender's turn. */
  take(message: Incoming, origin: Origin): void {
    const name = message.sender ?? "";
    const sender = this.#senders.get(name) ?? newSender(name);
    const excess = this.#excess(sender, message);
    if (excess !== null) {
      this.#server.refuse(message, origin, excess);
      return;
    }
    this.#senders.set(name, sender);
    this.#count(sender, message, 1);
    sender.calls.push({ message, origin });
    this.#goOn(sender);
    if (sender.isQueued) this.#askForUser(name);
  }

  /** Starts waiting calls, if the broker reads again. */
  goOn(): void {
    if (!this.#broker.takesMore) return;
    for (const sender of this.#senders.values()) this.#goOn(sender);
  }

  /** Drops waiting calls: the bus is lost, and their callers with it. */
  close(): void {
    for (const { calls } of this.#senders.values()) {
      for (const { message } of calls.splice(0)) for (const fd of message.descriptors) fd.close();
    }
    this.#senders.clear();
  }

  #excess(sender: Sender, message: Incoming): string | null {
    const { calls, bytes, totalBytes, descriptors, totalDescriptors } = this.#limits;
    const count = message.descriptors.length;
    const mostDescriptors =
      this.#totalDescriptors + count > totalDescriptors ? Math.ceil(descriptors / 16) : descriptors;
    if (count > CALL_DESCRIPTOR_LIMIT || (count > 0 && sender.descriptors + count > mostDescriptors))
      return "Too many file descriptors";
    if (sender.unanswered >= calls) return "Too many calls wait for an answer";
    const most = this.#totalBytes > totalBytes ? bytes * SMALL_PART : bytes;
    return sender.bytes + message.size > most ? "Calls that wait for an answer take too much memory" : null;
  }

  #count(sender: Sender, { size, descriptors }: Pick<Incoming, "size" | "descriptors">, sign: 1 | -1): void {
    sender.unanswered += sign;
    sender.bytes += sign * size;
    sender.descriptors += sign * descriptors.length;
    this.#totalBytes += sign * size;
    this.#totalDescriptors += sign * descriptors.length;
  }

  #isFree(sender: Sender): boolean {
    return sender.calls.length > 0 && this.#broker.takesMore;
  }

  #goOn(sender: Sender): void {
    if (sender.isQueued || !this.#isFree(sender)) return;
    sender.isQueued = true;
    this.#turns.run(this.#users.get(sender.name) ?? sender.name, () => this.#step(sender));
  }

  #step(sender: Sender): boolean {
    const call = this.#isFree(sender) ? sender.calls.shift() : undefined;
    if (call !== undefined) this.#begin(sender, call);
    sender.isQueued = this.#isFree(sender);
    return sender.isQueued;
  }

  #begin(sender: Sender, { message, origin }: Waiting): void {
    const done = () => {
      this.#count(sender, message, -1);
      if (sender.unanswered === 0) this.#senders.delete(sender.name);
    };
    const answering = this.#server.dispatch(message, origin);
    if (answering === null) done();
    else answering.then(done, done);
  }

  /** Asks the broker for the user of a sender that has to wait: the senders of one user share that user's time. */
  #askForUser(name: string): void {
    if (this.#users.has(name)) return;
    const [oldest] = this.#users.keys();
    if (this.#users.size >= KNOWN_LIMIT && oldest !== undefined) this.#users.delete(oldest);
    this.#users.set(name, null);
    this.#broker.driver("GetConnectionUnixUser", "s", [name]).then(
      ([uid]) => this.#users.set(name, shareOwner(uid as number)),
      () => this.#users.delete(name),
    );
  }
}

function newSender(name: string): Sender {
  return { name, calls: [], isQueued: false, unanswered: 0, bytes: 0, descriptors: 0 };
}
