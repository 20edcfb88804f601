// The line protocol before the first D-Bus message, both sides (D-Bus specification, "Authentication Protocol").
// EXTERNAL is the only mechanism: the kernel identifies the peer.

const MAX_LINE_BYTES = 16 << 10;

/** One side of the handshake. */
export interface Handshake {
  /** The bytes to send first. */
  begin(): Buffer;
  /** Whether messages without descriptors may follow `begin()` before the peer has answered. */
  readonly sendsAhead: boolean;
  /**
   * Takes bytes of the peer. Returns the answer, and the bytes after the handshake once it is complete (else null).
   * Throws an Error when the peer violates the protocol or refuses us.
   */
  feed(bytes: Buffer): { reply: Buffer; rest: Buffer | null };
}

const NOTHING = Buffer.alloc(0);

class Lines {
  #buffer: Buffer = NOTHING;

  push(bytes: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, bytes]);
  }

  /** The next line without its CR LF, or null. */
  next(): string | null {
    const end = this.#buffer.indexOf("\r\n");
    if (end < 0) {
      if (this.#buffer.length > MAX_LINE_BYTES) throw new Error("authentication line is too long");
      return null;
    }
    const line = this.#buffer.toString("latin1", 0, end);
    this.#buffer = this.#buffer.subarray(end + 2);
    return line;
  }

  takeByte(): number | null {
    const byte = this.#buffer[0];
    if (byte === undefined) return null;
    this.#buffer = this.#buffer.subarray(1);
    return byte;
  }

  rest(): Buffer {
    return this.#buffer;
  }
}

/** The client's side: all lines are sent at once, then their answers are read. */
export class ClientHandshake implements Handshake {
  readonly sendsAhead: boolean;
  readonly #lines = new Lines();
  readonly #uid: number | null;
  readonly #passesDescriptors: boolean;
  #asked = false;
  #accepted = false;

  /**
   * `uid` is the user as the server sees us, which differs from our own where either is inside another user namespace;
   * null: the one that the kernel tells the server, which every broker takes. Unless descriptors are passed, the server
   * is not asked whether it takes any, and sends none. Brokers and our own daemons read messages that they get with the
   * handshake; programs between us and a bus may lose them.
   */
  constructor(
    uid: number | null = process.geteuid?.() ?? 0,
    options: { passesDescriptors?: boolean; sendsAhead?: boolean } = {},
  ) {
    this.#uid = uid;
    this.#passesDescriptors = options.passesDescriptors ?? true;
    this.sendsAhead = options.sendsAhead ?? false;
  }

  begin(): Buffer {
    // Without an identity the server asks for it, and gets an empty one.
    const identity = this.#uid === null ? "\r\nDATA" : ` ${Buffer.from(String(this.#uid)).toString("hex")}`;
    const question = this.#passesDescriptors ? "NEGOTIATE_UNIX_FD\r\n" : "";
    return Buffer.from(`\0AUTH EXTERNAL${identity}\r\n${question}BEGIN\r\n`);
  }

  feed(bytes: Buffer): { reply: Buffer; rest: Buffer | null } {
    this.#lines.push(bytes);
    for (let line = this.#lines.next(); line !== null; line = this.#lines.next()) {
      if (line === "DATA" && this.#uid === null && !this.#asked) this.#asked = true;
      else if (!this.#accepted) {
        if (!line.startsWith("OK")) throw new Error(`bus refused the authentication: ${JSON.stringify(line)}`);
        this.#accepted = true;
        if (!this.#passesDescriptors) return { reply: NOTHING, rest: this.#lines.rest() };
      } else {
        // AGREE_UNIX_FD, or ERROR from a server that passes none.
        return { reply: NOTHING, rest: this.#lines.rest() };
      }
    }
    return { reply: NOTHING, rest: null };
  }
}

/**
 * The server's side. The kernel returns the peer's uid; null: the peer was authenticated by ssh(1), and passes no
 * descriptors.
 */
export class ServerHandshake implements Handshake {
  readonly sendsAhead = false;
  readonly #lines = new Lines();
  readonly #uid: number | null;
  readonly #guid: string;
  #begun = false;
  #authenticated = false;
  #challenged = false;
  #attempts = 0;

  constructor(peerUid: number | null, guid: string) {
    this.#uid = peerUid;
    this.#guid = guid;
  }

  begin(): Buffer {
    return NOTHING;
  }

  feed(bytes: Buffer): { reply: Buffer; rest: Buffer | null } {
    this.#lines.push(bytes);
    if (!this.#begun) {
      const first = this.#lines.takeByte();
      if (first === null) return { reply: NOTHING, rest: null };
      if (first !== 0) throw new Error("peer does not begin with a NUL byte");
      this.#begun = true;
    }
    let reply = "";
    for (let line = this.#lines.next(); line !== null; line = this.#lines.next()) {
      if (line === "BEGIN") {
        if (!this.#authenticated) throw new Error("peer begins without authentication");
        return { reply: Buffer.from(reply), rest: this.#lines.rest() };
      }
      reply += `${this.#answer(line)}\r\n`;
      if (++this.#attempts > 16) throw new Error("peer makes too many attempts to authenticate");
    }
    return { reply: Buffer.from(reply), rest: null };
  }

  #answer(line: string): string {
    const [word, mechanism, identity] = line.split(" ");
    if (this.#uid === null && word === "NEGOTIATE_UNIX_FD") return "ERROR";
    if (this.#uid === null && word === "AUTH" && mechanism === "ANONYMOUS") return this.#identify("");
    if (word === "AUTH" && mechanism === "EXTERNAL") return this.#identify(identity);
    if (word === "DATA" && this.#challenged) return this.#identify(mechanism ?? "");
    if (word === "NEGOTIATE_UNIX_FD" && this.#authenticated) return "AGREE_UNIX_FD";
    if (word === "AUTH" || word === "CANCEL" || word === "DATA") return "REJECTED EXTERNAL";
    return "ERROR";
  }

  /** Without an identity the peer asks for a challenge; an empty one means the identity that the kernel returns. */
  #identify(identity: string | undefined): string {
    if (identity === undefined) {
      this.#challenged = true;
      return "DATA";
    }
    this.#challenged = false;
    const claimed = Buffer.from(identity, "hex").toString();
    if (this.#uid !== null && claimed !== "" && claimed !== String(this.#uid)) return "REJECTED EXTERNAL";
    this.#authenticated = true;
    return `OK ${this.#guid}`;
  }
}
