// The private socket: peer-to-peer D-Bus with the same objects as on the bus, for hosts that have no bus (as systemd's
// /run/systemd/private). Only root and the daemon's own user may connect.
import type { Log } from "../base/log.ts";
import { CALL_DESCRIPTOR_LIMIT, type Origin } from "../ipc/bus/call.ts";
import { ServerHandshake } from "../ipc/bus/handshake.ts";
import type { BusServer } from "../ipc/bus/server.ts";
import { BusStream, type Incoming, type StreamHandlers } from "../ipc/bus/stream.ts";
import { type Caller, callerOnSocket, isPrivileged } from "../ipc/caller.ts";
import type { FairTurns } from "../ipc/fair-turns.ts";
import { GoneHandlers } from "../ipc/gone-handlers.ts";
import { MESSAGE_TYPE, type Outgoing } from "../ipc/message/message.ts";
import type { PeerPlace, Peers } from "../ipc/peers.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { Acceptor } from "../kernel/socket/acceptor.ts";
import { streamOn } from "../kernel/socket/stream.ts";
import { listenAt } from "./sockets.ts";

/** With this many waiting calls of a peer, reading from it pauses. */
const ENOUGH_CALLS = 64;

export class PrivateBus {
  readonly #acceptor: Acceptor;
  readonly #server: BusServer;
  readonly #log: Log;
  readonly #limits: Peers;
  readonly #guid = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("hex");
  readonly #peers = new Set<PrivatePeer>();

  constructor(path: string, server: BusServer, limits: Peers, log: Log) {
    this.#server = server;
    this.#limits = limits;
    this.#log = log;
    this.#acceptor = new Acceptor(listenAt(path, 0o600), {
      welcome: (socket) => this.#welcome(socket),
      failed: (error) => log.debug(`Cannot accept peers on the private bus for now: ${error.message}`),
      closed: (error) => log.warning(`A connection to the private bus cannot be served: ${error.message}`),
    });
  }

  /** Sends a signal to every peer; the private bus has no match rules. */
  broadcast(signal: Omit<Outgoing, "serial">): void {
    for (const peer of this.#peers) peer.send(signal);
  }

  /** The number of connected peers. */
  get peers(): number {
    return this.#peers.size;
  }

  close(): void {
    this.#acceptor.close();
    for (const peer of [...this.#peers]) peer.close();
  }

  /** Logs why a peer was disconnected: a warning for a violated protocol or limit (RangeError), else for debugging. */
  #logEnd(error: Error, pid: number): void {
    const text = `Peer ${pid} on the private bus was disconnected: ${error.message}`;
    if (error instanceof RangeError) this.#log.warning(text);
    else this.#log.debug(text);
  }

  #welcome(socket: Fd): void {
    const caller = callerOnSocket(socket);
    let peer: PrivatePeer | null = null;
    const place = isPrivileged(caller) ? this.#limits.admit(caller, (reason) => peer?.close(reason)) : null;
    if (place === null) {
      this.#log.debug(`Refused a peer of user ${caller.uid} on the private bus.`);
      socket.close();
      return;
    }
    const handshake = new ServerHandshake(caller.uid, this.#guid);
    const ended = (error?: Error) => {
      if (peer !== null) this.#peers.delete(peer);
      if (error !== undefined) this.#logEnd(error, caller.pid);
    };
    try {
      peer = new PrivatePeer(socket, { caller, place, handshake }, this.#limits.turns, this.#server, ended);
    } catch (error) {
      place.leave();
      throw error;
    }
    this.#peers.add(peer);
  }
}

interface Guest {
  readonly caller: Caller;
  readonly place: PeerPlace;
  readonly handshake: ServerHandshake;
}

/** A connected peer. Its calls begin in order; while it does not read its replies, none begins. */
class PrivatePeer implements Origin {
  readonly #stream: BusStream;
  readonly #guest: Guest;
  readonly #turns: FairTurns;
  readonly #server: BusServer;
  readonly #gone = new GoneHandlers();
  readonly #calls: Incoming[] = [];
  #callBytes = 0;
  #isQueued = false;
  #serial = 0;

  constructor(socket: Fd, guest: Guest, turns: FairTurns, server: BusServer, ended: (error?: Error) => void) {
    this.#guest = guest;
    this.#turns = turns;
    this.#server = server;
    const handlers: StreamHandlers = {
      message: (message) => this.#receive(message),
      changed: () => this.#goOn(),
      hangup: () => this.#gone.call(),
      end: (error) => {
        for (const { descriptors } of this.#calls.splice(0)) for (const fd of descriptors) fd.close();
        guest.place.leave();
        ended(error);
        this.#gone.call();
      },
    };
    this.#stream = new BusStream(streamOn(socket), handlers, {
      handshake: guest.handshake,
      takesDescriptors: CALL_DESCRIPTOR_LIMIT,
    });
  }

  caller(): Promise<Caller> {
    return Promise.resolve(this.#guest.caller);
  }

  onGone(handler: () => void): () => void {
    return this.#gone.add(handler);
  }

  send(message: Omit<Outgoing, "serial">): void {
    this.#stream.send({ ...message, serial: ++this.#serial });
    this.#count();
  }

  close(reason?: Error): void {
    this.#stream.close(reason);
  }

  #receive(message: Incoming): void {
    if (message.type !== MESSAGE_TYPE.call) {
      for (const fd of message.descriptors) fd.close();
      return;
    }
    this.#calls.push(message);
    this.#callBytes += message.size;
    this.#goOn();
  }

  #mayBegin(): boolean {
    return this.#calls.length > 0 && this.#stream.isOpen && this.#stream.takesMore;
  }

  #goOn(): void {
    this.#count();
    if (this.#calls.length >= ENOUGH_CALLS || !this.#stream.takesMore) this.#stream.pause();
    else this.#stream.resume();
    if (this.#isQueued || !this.#mayBegin()) return;
    this.#isQueued = true;
    this.#turns.run(this.#guest.caller.uid, this.#step);
  }

  readonly #step = (): boolean => {
    const call = this.#mayBegin() ? this.#calls.shift() : undefined;
    if (call !== undefined) {
      this.#callBytes -= call.size;
      this.#server.dispatch(call, this);
    }
    this.#isQueued = this.#mayBegin();
    if (!this.#isQueued) this.#goOn();
    return this.#isQueued;
  };

  #count(): void {
    this.#guest.place.hold(this.#stream.heldBytes + this.#callBytes);
  }
}
