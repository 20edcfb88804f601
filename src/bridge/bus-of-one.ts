// A message bus with one client, in place of the bus to which `systemd-stdio-bridge` connects on hosts that have one.
// The names on it are our daemons, each behind its private socket, so that a client works with hosts without a bus as
// with others.

import { IMPORT1_NAME } from "../api/import1.ts";
import { MACHINE1_NAME } from "../api/machine1.ts";
import { BROKER } from "../base/vocabulary/bus-peers.ts";
import { ClientHandshake, ServerHandshake } from "../ipc/bus/handshake.ts";
import { BusStream, type Incoming } from "../ipc/bus/stream.ts";
import { FLAG_NO_REPLY, MESSAGE_TYPE, type Outgoing } from "../ipc/message/message.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { streamOn } from "../kernel/socket/stream.ts";
import { connectUnix } from "../kernel/socket/unix.ts";

const CLIENT = ":1.0";

/** A daemon: its unique name on this bus, and its folder of sockets in the runtime directory. */
const SERVICES: Readonly<Record<string, { readonly unique: string; readonly directory: string }>> = {
  [MACHINE1_NAME]: { unique: ":1.1", directory: "machine" },
  [IMPORT1_NAME]: { unique: ":1.2", directory: "import" },
};

/** Thrown for a call that is answered with an error. */
class Refusal extends Error {
  readonly errorName: string;

  constructor(name: string, text: string) {
    super(text);
    this.errorName = `${BROKER}.Error.${name}`;
  }
}

/** Connects one client to the daemons of this host. */
export class BusOfOne {
  readonly #client: BusStream;
  readonly #runtimeDirectory: string;
  readonly #peers = new Map<string, BusStream>();
  #serial = 0;
  #isOver = false;

  /** Takes ownership of the client's socket. A process that can write to it acts as the user of this process. */
  constructor(client: Fd, runtimeDirectory: string) {
    this.#runtimeDirectory = runtimeDirectory;
    this.#client = new BusStream(
      streamOn(client),
      {
        message: (message) => this.#receive(message),
        end: () => this.close(),
        changed: () => this.#balance(),
      },
      { handshake: new ServerHandshake(null, crypto.randomUUID().replaceAll("-", "")) },
    );
  }

  /** Connects to the machine manager. Throws an error with errno where it does not run. */
  connectManager(): void {
    this.#peer(MACHINE1_NAME);
  }

  /** Ends all connections. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#client.close();
    for (const peer of this.#peers.values()) peer.close();
  }

  /** Pauses the reading from each side while the other one does not read. */
  #balance(): void {
    if (this.#isOver) return;
    const peers = [...this.#peers.values()];
    if (peers.every((peer) => peer.takesMore)) this.#client.resume();
    else this.#client.pause();
    for (const peer of peers) {
      if (this.#client.takesMore) peer.resume();
      else peer.pause();
    }
  }

  #peer(name: string): BusStream {
    const known = this.#peers.get(name);
    if (known !== undefined) return known;
    const service = SERVICES[name];
    if (service === undefined) throw new Refusal("ServiceUnknown", `The name ${name} is not on this bus`);
    const { unique, directory } = service;
    const peer = new BusStream(
      streamOn(connectUnix(`${this.#runtimeDirectory}/${directory}/private`)),
      {
        message: (message) => this.#pass(message, unique),
        // The connection ends with the daemon: without it, the client would wait for signals that are never sent.
        end: () => this.close(),
        changed: () => this.#balance(),
      },
      { handshake: new ClientHandshake(undefined, { passesDescriptors: false }) },
    );
    this.#peers.set(name, peer);
    return peer;
  }

  #peerOrRefusal(name: string): BusStream {
    try {
      return this.#peer(name);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw new Refusal("ServiceUnknown", `The name ${name} is not on this bus: ${(error as Error).message}`);
    }
  }

  #receive(message: Incoming): void {
    if (message.type !== MESSAGE_TYPE.call) return;
    try {
      const { destination = "" } = message;
      if (destination === BROKER) this.#answer(message, ...this.#driver(message));
      else this.#peerOrRefusal(destination).send({ ...sentOn(message), serial: message.serial });
    } catch (error) {
      const name = error instanceof Refusal ? error.errorName : `${BROKER}.Error.InvalidArgs`;
      this.#fail(message, name, (error as Error).message);
    }
    this.#balance();
  }

  /** Answers a call to the bus itself: returns the signature and the values of the reply. */
  #driver(message: Incoming): [signature: string, values: unknown[]] {
    const [name] = message.values();
    switch (message.member) {
      case "Hello":
        return ["s", [CLIENT]];
      case "AddMatch":
      case "RemoveMatch":
        // The daemons send all their signals to all their peers.
        return ["", []];
      case "GetNameOwner":
        return ["s", [this.#ownerOf(String(name))]];
      case "NameHasOwner":
        return ["b", [this.#hasOwner(String(name))]];
      default:
        throw new Refusal("UnknownMethod", `This bus has no method ${message.member}`);
    }
  }

  #ownerOf(name: string): string {
    if (name === BROKER || name === CLIENT) return name;
    if (!this.#hasOwner(name)) throw new Refusal("NameHasNoOwner", `The name ${name} has no owner`);
    return SERVICES[name]?.unique ?? "";
  }

  #hasOwner(name: string): boolean {
    try {
      this.#peer(name);
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Passes on a message of a daemon. Descriptors cannot be passed to another host: a reply with some becomes an error.
   */
  #pass(message: Incoming, sender: string): void {
    const { replySerial } = message;
    const addressed = { sender, destination: CLIENT };
    if (replySerial !== undefined && message.signature.includes("h")) {
      this.#send({
        ...{ type: MESSAGE_TYPE.error, replySerial, errorName: `${BROKER}.Error.NotSupported` },
        ...{ signature: "s", body: ["The reply has file descriptors, which cannot be passed to another host"] },
        ...addressed,
      });
      return;
    }
    try {
      this.#send({ ...sentOn(message), ...addressed });
    } catch {
      this.close(); // the daemon violates the protocol
    }
    this.#balance();
  }

  #answer({ serial, flags }: Incoming, signature: string, body: unknown[]): void {
    if ((flags & FLAG_NO_REPLY) !== 0) return;
    const addressed = { sender: BROKER, destination: CLIENT };
    this.#send({ type: MESSAGE_TYPE.reply, replySerial: serial, signature, body, ...addressed });
  }

  #fail({ serial, flags }: Incoming, errorName: string, text: string): void {
    if ((flags & FLAG_NO_REPLY) !== 0) return;
    const addressed = { sender: BROKER, destination: CLIENT };
    const reply = { type: MESSAGE_TYPE.error, replySerial: serial, errorName, signature: "s", body: [text] };
    this.#send({ ...reply, ...addressed });
  }

  #send(message: Omit<Outgoing, "serial">): void {
    this.#serial = (this.#serial % 0xffff_ffff) + 1;
    this.#client.send({ ...message, serial: this.#serial });
  }
}

/** Returns a message to pass on. Its values are decoded and encoded again, so that no malformed message passes. */
function sentOn(message: Incoming): Omit<Outgoing, "serial"> {
  const { type, flags, path, interface: owner, member, errorName, replySerial, destination, signature } = message;
  const head = { type, flags, path, interface: owner, member, errorName, replySerial, destination, signature };
  return { ...head, body: message.values() };
}
