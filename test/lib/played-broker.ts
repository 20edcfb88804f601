// A fake message bus in the test process. It reports any user id for the callers that a test makes, delays replies
// until the test releases them, and implements polkit and a service manager as well. Every request for a name is
// granted; the test can call the owner of a name.
import { Variant } from "../../src/base/variant.ts";
import { ServerHandshake } from "../../src/ipc/bus/handshake.ts";
import { BusStream, type Incoming } from "../../src/ipc/bus/stream.ts";
import { type Watch, watch } from "../../src/kernel/event/poller.ts";
import type { Fd } from "../../src/kernel/file/fd.ts";
import { MAX_FDS } from "../../src/kernel/socket/max-fds.ts";
import { streamOn } from "../../src/kernel/socket/stream.ts";
import { acceptPeer, listenUnix } from "../../src/kernel/socket/unix.ts";
import { waitFor } from "./wait-for.ts";

const DRIVER = "org.freedesktop.DBus";
const SYSTEMD = "org.freedesktop.systemd1";
const SYSTEMD_OWNER = ":1.0";

/** A call of polkit's CheckAuthorization() that waits for its reply. */
interface Question {
  readonly subject: readonly [string, ReadonlyMap<string, Variant>];
  readonly action: string;
  readonly details: ReadonlyMap<string, string>;
  readonly cancellation: string;
  /** The unique name of the caller's connection. */
  readonly from: string;
  answer(authorized: boolean, details?: Readonly<Record<string, string>>): void;
}

interface PlayedCall {
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
  readonly interactive?: boolean;
}

/** The bus. */
export class PlayedBroker implements AsyncDisposable {
  readonly address: string;
  readonly #listener: Fd;
  readonly #watch: Watch;
  readonly #peers = new Map<string, BusStream>();
  readonly #owners = new Map<string, string>();
  readonly #waiting = new Map<string, { resolve(values: unknown[]): void; reject(error: Error): void }>();
  readonly #users = new Map<string, number>();
  readonly #held: (() => void)[] = [];
  readonly questions: Question[] = [];
  readonly cancelled: string[] = [];
  /** The number of match rules of each connection. */
  readonly rules = new Map<string, number>();
  /** The version that the fake service manager reports. */
  systemdVersion = "262";
  /** Whether replies to GetConnectionCredentials() are held until release(). */
  holdCredentials = false;
  /** The error with which Hello is refused, by a broker that keeps the connection; null for a reply. */
  refusal: string | null = null;
  /** Called for each question at once; all are also added to `questions`. */
  onQuestion: (question: Question) => void = () => {};
  #serial = 0;
  #count = 0;

  constructor(path: string) {
    this.address = `unix:path=${path}`;
    this.#listener = listenUnix(path, { mode: 0o666 });
    this.#watch = watch(this.#listener, { read: true }, () => {
      for (let socket = acceptPeer(this.#listener); socket !== null; socket = acceptPeer(this.#listener))
        this.#welcome(socket);
    });
  }

  /** Makes a caller that runs as the user; returns its unique name. */
  caller(uid: number): string {
    const name = `:9.${++this.#count}`;
    this.#users.set(name, uid);
    return name;
  }

  /** Returns the unique name of the connection that owns a name. */
  ownerOf(name: string): string | undefined {
    return this.#owners.get(name);
  }

  /** The number of replies that are held. */
  get held(): number {
    return this.#held.length;
  }

  /** Sends all replies that are held. */
  release(): void {
    for (const answer of this.#held.splice(0)) answer();
  }

  /**
   * Calls the owner of `name` as a caller from caller(); returns the values of the reply. Error replies have
   * `errorName`.
   */
  call(sender: string, name: string, call: PlayedCall): Promise<unknown[]> {
    const owner = this.#peers.get(this.#owners.get(name) ?? "");
    if (owner === undefined) throw new Error(`Nobody owns ${name}`);
    const { interactive = false, ...rest } = call;
    const serial = ++this.#serial;
    const answer = new Promise<unknown[]>((resolve, reject) => {
      this.#waiting.set(`${sender} ${serial}`, { resolve, reject });
    });
    owner.send({ type: 1, flags: interactive ? 4 : 0, serial, sender, ...rest } as never);
    return answer;
  }

  /** Removes a caller from the bus, and sends NameOwnerChanged to all connections. */
  leave(sender: string): void {
    this.#users.delete(sender);
    for (const peer of this.#peers.values()) {
      const body = [sender, sender, ""];
      peer.send({
        type: 4,
        serial: ++this.#serial,
        sender: DRIVER,
        path: "/org/freedesktop/DBus",
        interface: DRIVER,
        member: "NameOwnerChanged",
        signature: "sss",
        body,
      } as never);
    }
  }

  /** Sends a signal of a stranger with a descriptor to a connection, which is not subscribed to it. */
  disturb(connection: string, file: Fd): void {
    const where = { path: "/a", interface: "a.b", member: "C", sender: ":9.0" };
    const signal = { type: 4, serial: ++this.#serial, ...where, signature: "h", body: [file] };
    this.#peers.get(connection)?.send(signal as never);
  }

  /** Waits until a name has an owner. */
  async untilOwned(name: string): Promise<void> {
    await waitFor(() => {
      if (!this.#owners.has(name)) throw new Error("nobody owns it");
    }, name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#watch.stop();
    this.#listener.close();
    for (const peer of this.#peers.values()) peer.close();
    return Promise.resolve();
  }

  #welcome(socket: Fd): void {
    const name = `:1.${++this.#count}`;
    const peer = new BusStream(
      streamOn(socket),
      {
        message: (message) => this.#receive(name, peer, message),
        end: () => {
          this.#peers.delete(name);
          for (const [owned, owner] of this.#owners) if (owner === name) this.#owners.delete(owned);
        },
      },
      {
        handshake: new ServerHandshake(process.geteuid?.() ?? 0, "0123456789abcdef0123456789abcdef"),
        takesDescriptors: MAX_FDS,
      },
    );
    this.#peers.set(name, peer);
  }

  #receive(from: string, peer: BusStream, message: Incoming): void {
    const { destination = "" } = message as Incoming & { destination?: string };
    if (message.type === 1) this.#answer(from, peer, message);
    else if (message.type !== 4) this.#settle(destination, message);
    if (message.type !== 1) for (const fd of message.descriptors) fd.close();
  }

  #settle(destination: string, message: Incoming): void {
    const key = `${destination} ${message.replySerial}`;
    const waiting = this.#waiting.get(key);
    this.#waiting.delete(key);
    const values = message.values();
    if (message.type === 2) waiting?.resolve(values);
    else waiting?.reject(Object.assign(new Error(String(values[0])), { errorName: message.errorName }));
  }

  #answer(from: string, peer: BusStream, message: Incoming): unknown {
    const reply = (signature: string, ...body: unknown[]) =>
      peer.send({
        type: 2,
        serial: ++this.#serial,
        replySerial: message.serial,
        sender: DRIVER,
        signature,
        body,
      } as never);
    const fail = (errorName: string) =>
      peer.send({
        ...{ type: 3, serial: ++this.#serial, replySerial: message.serial, sender: DRIVER, errorName },
        ...{ signature: "s", body: [errorName] },
      } as never);
    const values = message.values();
    const text = String(values[0]);
    switch (message.member) {
      case "Hello":
        return this.refusal === null ? reply("s", from) : fail(this.refusal);
      case "RequestName":
        this.#owners.set(text, from);
        return reply("u", 1);
      case "AddMatch":
        this.rules.set(from, (this.rules.get(from) ?? 0) + 1);
        return reply("");
      case "RemoveMatch":
        this.rules.set(from, (this.rules.get(from) ?? 0) - 1);
        return reply("");
      case "ReleaseName":
        return reply("u", 1);
      case "NameHasOwner":
        return reply("b", this.#users.has(text) || this.#owners.has(text) || this.#peers.has(text));
      case "GetNameOwner":
        return text === SYSTEMD ? reply("s", SYSTEMD_OWNER) : fail(`${DRIVER}.Error.NameHasNoOwner`);
      case "Subscribe":
      case "KillUnit":
        return reply("");
      case "Get":
        return reply("v", new Variant("s", this.systemdVersion));
      case "StopUnit":
      case "StartTransientUnit":
        return this.#runJob(peer, text, reply);
      case "GetConnectionCredentials":
        return this.#vouch(() => this.#credentials(text, reply, fail));
      case "CheckAuthorization":
        return this.#ask(from, message, reply);
      case "CancelCheckAuthorization":
        this.cancelled.push(text);
        return reply("");
      default:
        return fail(`${DRIVER}.Error.UnknownMethod`);
    }
  }

  #runJob(peer: BusStream, unit: string, reply: (signature: string, ...body: unknown[]) => void): void {
    const job = `/org/freedesktop/systemd1/job/${++this.#count}`;
    reply("o", job);
    const where = { path: "/org/freedesktop/systemd1", interface: `${SYSTEMD}.Manager`, member: "JobRemoved" };
    const signal = { type: 4, serial: ++this.#serial, sender: SYSTEMD_OWNER, ...where };
    peer.send({ ...signal, signature: "uoss", body: [1, job, unit, "done"] } as never);
  }

  #vouch(answer: () => void): void {
    if (this.holdCredentials) this.#held.push(answer);
    else answer();
  }

  #credentials(name: string, reply: (signature: string, body: unknown) => void, fail: (name: string) => void): unknown {
    const uid = this.#users.get(name);
    if (uid === undefined) return fail(`${DRIVER}.Error.NameHasNoOwner`);
    const known = new Map([
      ["UnixUserID", new Variant("u", uid)],
      ["ProcessID", new Variant("u", process.pid)],
    ]);
    return reply("a{sv}", [...known]);
  }

  #ask(from: string, message: Incoming, reply: (signature: string, ...body: unknown[]) => void): void {
    const [subject, action, details, , cancellation] = message.values() as [
      [string, Map<string, Variant>],
      string,
      Map<string, string>,
      number,
      string,
    ];
    const answer = (authorized: boolean, more: Readonly<Record<string, string>> = {}) => {
      reply("(bba{ss})", [authorized, false, Object.entries(more)]);
      for (const fd of message.descriptors) fd.close();
    };
    const question = { subject, action, details, cancellation, from, answer };
    this.questions.push(question);
    this.onQuestion(question);
  }
}
