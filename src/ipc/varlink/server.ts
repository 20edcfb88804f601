// A Varlink service on listening sockets: accepts peers, and limits their connections by user.
import type { Fd } from "../../kernel/file/fd.ts";
import { Acceptor } from "../../kernel/socket/acceptor.ts";
import { refuseDescriptors } from "../../kernel/socket/unix.ts";
import { callerOnSocket } from "../caller.ts";
import { ServerConnection } from "./server-connection.ts";
import { takesDescriptors, type VarlinkServerOptions } from "./service.ts";

export type { BoundVarlink, VarlinkCall } from "./binding.ts";

/** Serves the interfaces of its options on any number of sockets. */
export class VarlinkServer {
  readonly options: VarlinkServerOptions;
  readonly #acceptors: Acceptor[] = [];
  readonly #connections = new Set<ServerConnection>();

  constructor(options: VarlinkServerOptions) {
    this.options = options;
  }

  /** Accepts peers on a listening socket; takes ownership of it. */
  listen(listener: Fd): void {
    if (!takesDescriptors(this.options.interfaces)) refuseDescriptors(listener);
    this.#acceptors.push(
      new Acceptor(listener, {
        welcome: (socket, isShort) => this.#welcome(socket, isShort),
        failed: (error) => this.options.debug(`Cannot accept Varlink connections for now: ${error.message}`),
        closed: (error) => this.options.bug(error, "the start of a Varlink connection"),
      }),
    );
  }

  /** The number of open connections. */
  get connections(): number {
    return this.#connections.size;
  }

  close(): void {
    for (const acceptor of this.#acceptors) acceptor.close();
    for (const connection of [...this.#connections]) connection.close();
  }

  #welcome(socket: Fd, isShort: boolean): void {
    const caller = callerOnSocket(socket);
    let connection: ServerConnection | null = null;
    const ended = () => {
      if (connection !== null) this.#connections.delete(connection);
    };
    // The PID of a peer in a foreign PID namespace is 0 here: it cannot be identified.
    const place = caller.pid <= 0 ? null : this.options.peers.admit(caller, (reason) => connection?.close(reason));
    if (place === null || (isShort && !place.isPrivileged)) {
      this.options.debug(`Refused a connection of user ${caller.uid}.`);
      place?.leave();
      socket.close();
      return;
    }
    try {
      connection = new ServerConnection(socket, caller, place, this.options, ended);
    } catch (error) {
      place.leave();
      throw error;
    }
    this.#connections.add(connection);
  }
}
