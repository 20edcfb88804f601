// The other side of sd_notify(3): what our own children report.

import { watch } from "../event/poller.ts";
import type { Fd } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";
import { isErrno } from "../syscall/sys.ts";
import { type Credentials, receiveMessage } from "./receive.ts";
import { bindUnix, passCredentials, type UnixAddress } from "./unix.ts";

export interface Notification {
  /** The assignments in order, split at their first `=`; the last one of a name counts. */
  readonly values: ReadonlyMap<string, string>;
  /** Who sent it, as the kernel vouches. */
  readonly sender: Credentials;
}

const LARGEST_MESSAGE = 64 * 1024;
const MESSAGES_PER_TURN = 64;
const message = pinForever(LARGEST_MESSAGE);

/** A socket children send their state to. Descriptors they attach are closed. */
export class NotifyListener implements Disposable {
  /** What children find in $NOTIFY_SOCKET. */
  readonly address: string;
  readonly #socket: Fd;
  readonly #receive: (notification: Notification) => void;

  /** Binds to a path (mode 0600) or an abstract name, and calls `receive` for every message. */
  constructor(address: UnixAddress, receive: (notification: Notification) => void) {
    this.address = typeof address === "string" ? address : `@${address.abstract}`;
    this.#receive = receive;
    this.#socket = bindUnix(address, "datagram", 0o600);
    passCredentials(this.#socket);
    watch(this.#socket, { read: true }, () => this.#read());
  }

  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #read(): void {
    for (let count = 0; count < MESSAGES_PER_TURN; count++) {
      if (!this.#socket.isOpen) return;
      const next = this.#next();
      if (next === "again") return;
      if (next === "skip") continue;
      try {
        this.#receive(next);
      } catch (error) {
        reportError(error);
      }
    }
    setImmediate(() => this.#read());
  }

  /** A message that is too long or carries more than it may is dropped; the next one is another sender's. */
  #next(): Notification | "again" | "skip" {
    try {
      const received = receiveMessage(this.#socket, message, 0);
      if (received === "again") return "again";
      if (received === "end") return "skip";
      if (received.credentials === undefined) return "skip";
      return { values: parse(message.bytes.toString("utf8", 0, received.bytes)), sender: received.credentials };
    } catch (error) {
      if (isErrno(error, "EXFULL", "EMSGSIZE")) return "skip";
      throw error;
    }
  }
}

function parse(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at > 0) values.set(line.slice(0, at), line.slice(at + 1));
  }
  return values;
}
