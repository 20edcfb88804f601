// Receives what our own children send by sd_notify(3).
import { inNextTurn } from "../../base/next-turn.ts";
import { watch } from "../event/poller.ts";
import type { Fd } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";
import { isErrno } from "../syscall/sys.ts";
import { type Credentials, receiveMessage } from "./receive.ts";
import { bindUnix, passCredentials, type UnixAddress } from "./unix.ts";

export interface Notification {
  /** The assignments, split at their first `=`; of a repeated name, the last value. */
  readonly values: ReadonlyMap<string, string>;
  /** The sender, verified by the kernel (SCM_CREDENTIALS). */
  readonly sender: Credentials;
}

const LARGEST_MESSAGE = 64 * 1024;
const MESSAGES_PER_TURN = 64;
const message = pinForever(LARGEST_MESSAGE);

/** A socket for messages of children. The kernel drops descriptors that they attach. */
export class NotifyListener implements Disposable {
  /** The value for $NOTIFY_SOCKET of children. */
  readonly address: string;
  readonly #socket: Fd;
  readonly #receive: (notification: Notification) => void;
  #isReadPlanned = false;

  /** Binds to a path (mode 0600) or an abstract name; calls `receive` for each message. */
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
    // A planned read will run; reading now too would exceed the limit of a turn, and plan another one.
    if (this.#isReadPlanned) return;
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
    this.#isReadPlanned = true;
    inNextTurn(() => {
      this.#isReadPlanned = false;
      this.#read();
    });
  }

  /** Returns the next message; "skip" for an invalid one, such as one that is too long, which is dropped. */
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
