// A client of a D-Bus bus or peer: calls, signals by match rule, and the owner of each name that signals come from.

import { inNextTurn } from "../../base/next-turn.ts";
import { BROKER, BROKER_PATH } from "../../base/vocabulary/bus-peers.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { Outgoing } from "../message/message.ts";
import { type BusCall, BusConnection, type ConnectionOptions, type DescriptorPolicy } from "./connection.ts";
import { BusError } from "./error.ts";
import type { Incoming } from "./stream.ts";
import { type BusTarget, openTransport } from "./transport.ts";

/**
 * Connects to a bus or peer. Throws an error with errno where there is none, BusError where it refuses us. Descriptors
 * are received in any case: everybody may send some through a broker, which must not end the connection.
 */
export async function connectBus(
  target: BusTarget,
  descriptors?: Exclude<DescriptorPolicy, "none">,
): Promise<BusClient> {
  const { fd, errors, ...options } = await openTransport(target);
  try {
    return await BusClient.open(fd, { ...options, descriptors });
  } catch (error) {
    await errors?.finish();
    throw error;
  }
}

/** The match rule of a handler; absent fields match everything. */
interface MatchRule {
  readonly sender?: string;
  readonly path?: string;
  readonly pathNamespace?: string;
  readonly interface?: string;
  readonly member?: string;
  readonly arg0?: string;
  readonly arg2?: string;
}

type SignalHandler = (body: unknown[], signal: { path: string; sender: string; member: string }) => void;

interface Subscription {
  readonly rule: MatchRule;
  readonly handler: SignalHandler;
}

/** A match rule that the broker was told, once for all subscriptions that have it. */
interface AddedRule {
  users: number;
  readonly added: Promise<unknown>;
}

export class BusClient {
  readonly #connection: BusConnection;
  readonly #peerToPeer: boolean;
  readonly #subscriptions = new Set<Subscription>();
  readonly #rules = new Map<string, AddedRule>();
  /** Null: the broker was asked, and its reply is not handled yet. */
  readonly #owners = new Map<string, string | null>();
  /** Resolve when the owner of a name is known and followed. */
  readonly #followed = new Map<string, Promise<void>>();
  /** Signals that wait for the next turn, in which the owner of a name may be known; null while none waits. */
  #held: Incoming[] | null = null;
  readonly #closeHandlers = new Set<(error?: Error) => void>();
  #callHandler: ((message: Incoming) => void) | null = null;
  #skippedHandler: ((reason: string) => void) | null = null;
  #changeHandler: (() => void) | null = null;
  #closed: { error: Error | undefined } | null = null;

  /** Takes ownership of a connected socket. Use `BusClient.open`, which waits for the bus's reply to Hello. */
  private constructor(fd: Fd, options: ConnectionOptions) {
    this.#peerToPeer = options.peerToPeer === true;
    this.#connection = new BusConnection(
      fd,
      {
        call: (message) => this.#receiveCall(message),
        signal: (message) => this.#receiveSignal(message),
        end: (error) => this.#end(error),
        skipped: (reason) => this.#skippedHandler?.(reason),
        changed: () => this.#changeHandler?.(),
      },
      options,
    );
  }

  /** Makes a client on a connected socket, of which it takes ownership. Throws BusError when authentication fails. */
  static async open(fd: Fd, options: ConnectionOptions = {}): Promise<BusClient> {
    const client = new BusClient(fd, options);
    await client.#connection.ready();
    return client;
  }

  get uniqueName(): string | null {
    return this.#connection.uniqueName;
  }

  /** Calls a method; returns the values of the reply. Throws as `BusConnection.call()`. */
  call(call: BusCall): Promise<unknown[]> {
    return this.#connection.call(call);
  }

  /** Calls the broker itself. */
  driver(member: string, signature = "", body: readonly unknown[] = []): Promise<unknown[]> {
    return this.call({ destination: BROKER, path: BROKER_PATH, interface: BROKER, member, signature, body });
  }

  send(message: Omit<Outgoing, "serial">): void {
    this.#connection.send(message);
  }

  /** Sets the handler of method calls that peers send to us; without one they are answered with UnknownMethod. */
  onCall(handler: (message: Incoming) => void): void {
    this.#callHandler = handler;
  }

  /** Sets the handler of messages that were skipped, with the reason. */
  onSkipped(handler: (reason: string) => void): void {
    this.#skippedHandler = handler;
  }

  /** Whether the peer reads what is sent to it. */
  get takesMore(): boolean {
    return this.#connection.takesMore;
  }

  /** Calls back when something was received or sent: `takesMore` may have changed. */
  onChange(handler: () => void): void {
    this.#changeHandler = handler;
  }

  /** Calls back when the connection has ended, at once if it has ended already. */
  onClose(handler: (error?: Error) => void): void {
    if (this.#closed !== null) handler(this.#closed.error);
    else this.#closeHandlers.add(handler);
  }

  /** Removes a handler that `onClose()` has added. */
  offClose(handler: (error?: Error) => void): void {
    this.#closeHandlers.delete(handler);
  }

  close(): void {
    this.#connection.close();
  }

  /**
   * Calls `handler` for each signal that fits the rule, from now on; returns a function that ends the subscription.
   * A rule with a well-known name as sender accepts only signals of the owner of that name, because any peer may send
   * us signals.
   *
   * What the broker is asked for is sent before this returns, and the broker keeps the order: a call that is sent next
   * causes no signal that is missed.
   */
  async subscribe(rule: MatchRule, handler: SignalHandler): Promise<() => Promise<void>> {
    const subscription = { rule, handler };
    this.#subscriptions.add(subscription);
    const followed = rule.sender === undefined ? null : this.#followOwner(rule.sender);
    const added = this.#addRule(matchText(rule));
    const end = async () => {
      if (this.#subscriptions.delete(subscription)) await this.#removeRule(matchText(rule));
    };
    const results = await Promise.allSettled([added, followed]);
    const failure = results.find((result) => result.status === "rejected");
    if (failure === undefined) return end;
    if (results[0].status === "rejected") this.#subscriptions.delete(subscription);
    else void end();
    throw failure.reason;
  }

  async #addRule(text: string): Promise<void> {
    if (this.#peerToPeer) return;
    const rule = this.#rules.get(text) ?? { users: 0, added: this.driver("AddMatch", "s", [text]) };
    rule.users++;
    this.#rules.set(text, rule);
    try {
      await rule.added;
    } catch (error) {
      this.#leaveRule(text);
      throw error;
    }
  }

  /** Returns whether this was the rule's last user. */
  #leaveRule(text: string): boolean {
    const rule = this.#rules.get(text);
    if (rule === undefined || --rule.users > 0) return false;
    this.#rules.delete(text);
    return true;
  }

  async #removeRule(text: string): Promise<void> {
    if (this.#peerToPeer || this.#closed !== null) return;
    if (this.#leaveRule(text)) await this.driver("RemoveMatch", "s", [text]).catch(() => {});
  }

  #followOwner(name: string): Promise<void> | null {
    if (this.#peerToPeer || name.startsWith(":") || name === BROKER) return null;
    const followed = this.#followed.get(name) ?? this.#newlyFollowed(name);
    this.#followed.set(name, followed);
    return followed;
  }

  async #newlyFollowed(name: string): Promise<void> {
    this.#owners.set(name, null);
    const rule = { sender: BROKER, interface: BROKER, member: "NameOwnerChanged", arg0: name };
    let hasChanged = false;
    const subscribed = this.subscribe(rule, ([, , owner]) => {
      hasChanged = true;
      this.#owners.set(name, owner as string);
    });
    const asked = this.#ownerOf(name);
    try {
      const [owner] = await Promise.all([asked, subscribed]);
      // A change that follows the reply in the same read is handled before this.
      if (!hasChanged) this.#owners.set(name, owner);
    } catch (error) {
      // The next subscription asks again.
      this.#owners.delete(name);
      this.#followed.delete(name);
      throw error;
    }
  }

  /** Returns "" where nobody owns the name yet: NameOwnerChanged will report its owner. */
  async #ownerOf(name: string): Promise<string> {
    try {
      const [owner] = await this.driver("GetNameOwner", "s", [name]);
      return owner as string;
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      return "";
    }
  }

  #receiveCall(message: Incoming): void {
    if (this.#callHandler !== null) {
      this.#callHandler(message);
      return;
    }
    for (const fd of message.descriptors) fd.close();
    this.send({
      type: 3,
      replySerial: message.serial,
      destination: message.sender,
      errorName: `${BROKER}.Error.UnknownMethod`,
      signature: "s",
      body: [`Unknown method ${message.member} or interface ${message.interface ?? ""}.`],
    });
  }

  /**
   * Delivers a signal: in the next turn where it may come from a name whose owner is being asked for, because the reply
   * about that may have come with the same read, and is handled after it. Later signals wait with it, for their order.
   */
  #receiveSignal(message: Incoming): void {
    if (this.#held !== null) this.#held.push(message);
    else if (this.#waitsForOwner(message)) {
      this.#held = [message];
      inNextTurn(() => this.#deliverHeld());
    } else this.#pass(message);
  }

  #waitsForOwner(message: Incoming): boolean {
    for (const owner of this.#owners.values()) {
      if (owner === null) return [...this.#subscriptions].some(({ rule }) => this.#isAsked(rule, message));
    }
    return false;
  }

  #isAsked(rule: MatchRule, message: Incoming): boolean {
    return rule.sender !== undefined && this.#owners.get(rule.sender) === null && this.#fits(rule, message);
  }

  #deliverHeld(): void {
    const held = this.#held ?? [];
    this.#held = null;
    if (this.#closed === null) for (const message of held) this.#pass(message);
  }

  #pass(message: Incoming): void {
    const hits = [...this.#subscriptions].filter((subscription) => this.#matches(subscription.rule, message));
    if (hits.length > 0) this.#deliver(hits, message);
  }

  #deliver(hits: Subscription[], message: Incoming): void {
    let body: unknown[];
    try {
      body = message.values();
    } catch {
      return; // the body does not match its signature: the signal is ignored
    }
    const origin = { path: message.path ?? "", sender: message.sender ?? "", member: message.member ?? "" };
    for (const { rule, handler } of hits) {
      if (rule.arg0 !== undefined && body[0] !== rule.arg0) continue;
      if (rule.arg2 === undefined || body[2] === rule.arg2) handler(body, origin);
    }
  }

  #matches(rule: MatchRule, message: Incoming): boolean {
    return this.#fits(rule, message) && (rule.sender === undefined || this.#isFrom(rule.sender, message.sender));
  }

  /** Whether a signal fits a rule, whoever has sent it. */
  #fits(rule: MatchRule, message: Incoming): boolean {
    if (rule.member !== undefined && rule.member !== message.member) return false;
    if (rule.interface !== undefined && rule.interface !== message.interface) return false;
    if (rule.path !== undefined && rule.path !== message.path) return false;
    return rule.pathNamespace === undefined || `${message.path}/`.startsWith(`${rule.pathNamespace}/`);
  }

  #isFrom(wanted: string, sender: string | undefined): boolean {
    if (this.#peerToPeer) return true;
    const owner = this.#owners.get(wanted);
    return owner !== null && sender === (owner ?? wanted);
  }

  #end(error?: Error): void {
    this.#closed = { error };
    for (const handler of this.#closeHandlers) handler(error);
  }
}

function matchText(rule: MatchRule): string {
  const keys: [keyof MatchRule, string][] = [
    ["sender", "sender"],
    ["path", "path"],
    ["pathNamespace", "path_namespace"],
    ["interface", "interface"],
    ["member", "member"],
    ["arg0", "arg0"],
    ["arg2", "arg2"],
  ];
  let text = "type='signal'";
  for (const [key, name] of keys) {
    const value = rule[key];
    if (value !== undefined) text += `,${name}='${value.replaceAll("'", "'\\''")}'`;
  }
  return text;
}
