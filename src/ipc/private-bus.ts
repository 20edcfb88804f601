// D-Bus between two peers on a socket of the daemon's own: the same objects as on the bus, for hosts that have no bus
// (systemd's own /run/systemd/private is the model). Only root and the daemon's own user may come in.
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import type { Log } from "../base/log.ts";
import type { Fd } from "../kernel/fd.ts";
import { type Watch, watch } from "../kernel/poller.ts";
import { acceptPeer, listenUnix } from "../kernel/unix-socket.ts";
import { ServerHandshake } from "./bus-handshake.ts";
import type { Outgoing } from "./bus-message.ts";
import type { BusServer, Origin } from "./bus-server.ts";
import { BusStream } from "./bus-stream.ts";
import { callerOnSocket } from "./caller.ts";
import { isPrivileged } from "./polkit.ts";

/** More peers than this at a time are turned away. */
const PEER_LIMIT = 128;

export class PrivateBus {
  readonly #listener: Fd;
  readonly #watch: Watch;
  readonly #server: BusServer;
  readonly #log: Log;
  readonly #guid = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("hex");
  readonly #peers = new Map<BusStream, Origin>();

  constructor(path: string, server: BusServer, log: Log) {
    this.#server = server;
    this.#log = log;
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    this.#listener = listenUnix(path, { mode: 0o600 });
    this.#watch = watch(this.#listener, { read: true }, () => this.#accept());
  }

  /** Sends a signal to every peer; the private bus has no match rules. */
  broadcast(signal: Omit<Outgoing, "serial">): void {
    for (const origin of this.#peers.values()) origin.send(signal);
  }

  /** Peers that are connected now. */
  get peers(): number {
    return this.#peers.size;
  }

  close(): void {
    this.#watch.stop();
    this.#listener.close();
    for (const peer of [...this.#peers.keys()]) peer.close();
  }

  #accept(): void {
    for (let socket = acceptPeer(this.#listener); socket !== null; socket = acceptPeer(this.#listener)) {
      this.#welcome(socket);
    }
  }

  /** Who breaks the protocol or a limit is told to the admin; who merely leaves is not. */
  #tell(error: Error, pid: number): void {
    const text = `Peer ${pid} on the private bus was disconnected: ${error.message}`;
    if (error instanceof RangeError) this.#log.warning(text);
    else this.#log.debug(text);
  }

  #welcome(socket: Fd): void {
    const caller = callerOnSocket(socket);
    if (!isPrivileged(caller) || this.#peers.size >= PEER_LIMIT) {
      this.#log.debug(`Turned away a peer of user ${caller.uid} on the private bus.`);
      socket.close();
      return;
    }
    const goneHandlers = new Set<() => void>();
    let serial = 0;
    const origin: Origin = {
      caller: () => Promise.resolve(caller),
      onGone: (handler) => {
        goneHandlers.add(handler);
        return () => goneHandlers.delete(handler);
      },
      send: (message) => peer.send({ ...message, serial: ++serial }),
    };
    const peer = new BusStream(
      socket,
      {
        message: (message) => {
          if (message.type === 1) this.#server.dispatch(message, origin);
          else for (const fd of message.descriptors) fd.close();
        },
        end: (error) => {
          this.#peers.delete(peer);
          if (error !== undefined) this.#tell(error, caller.pid);
          for (const handler of goneHandlers) handler();
        },
      },
      new ServerHandshake(caller.uid, this.#guid),
    );
    this.#peers.set(peer, origin);
  }
}
