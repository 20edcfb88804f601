// A small HTTP/1.1 server on unix sockets: one request for each connection, no bodies, everything counted and limited
// by the user of the peer as on the other sockets of the daemon. A peer that is slow loses its connection.
import type { Fd } from "../../kernel/file/fd.ts";
import { Acceptor } from "../../kernel/socket/acceptor.ts";
import { SocketStream, type StreamHandlers } from "../../kernel/socket/stream.ts";
import { refuseDescriptors } from "../../kernel/socket/unix.ts";
import { callerOnSocket } from "../caller.ts";
import type { PeerPlace, Peers } from "../peers.ts";
import { type HttpRequest, parseHead } from "./request.ts";

export type { HttpRequest } from "./request.ts";

/** The statuses of replies. node:http has all texts; loading it takes a tenth of the daemon's start. */
const REASONS = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  413: "Payload Too Large",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  505: "HTTP Version Not Supported",
} as const;

export interface HttpAnswer {
  readonly status: keyof typeof REASONS;
  readonly type: string;
  /** Sent without a copy: it must not be changed afterwards. */
  readonly body: Uint8Array;
}

export interface HttpServerOptions {
  /** The connections of all sockets of the daemon, counted by user. */
  readonly peers: Peers;
  answer(request: HttpRequest): HttpAnswer | Promise<HttpAnswer>;
  /** Reports an error that is a bug of this program; the peer gets no details. */
  bug(error: unknown, where: string): void;
  debug(message: string): void;
  /** The time limits, in milliseconds, for a peer to send its request, and to read its answer. */
  readonly patienceMs?: { readonly request: number; readonly answer: number };
}

const PATIENCE_MS = { request: 5_000, answer: 30_000 };
const HEAD_LIMIT_BYTES = 8 << 10;
const END_OF_HEAD = "\r\n\r\n";

/** Returns an answer of plain text. */
export function plainAnswer(status: HttpAnswer["status"], text: string = REASONS[status]): HttpAnswer {
  return { status, type: "text/plain; charset=utf-8", body: Buffer.from(`${text}\n`) };
}

export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #acceptors: Acceptor[] = [];
  readonly #exchanges = new Set<Exchange>();

  constructor(options: HttpServerOptions) {
    this.#options = options;
  }

  /** Accepts peers on the socket, and owns it. */
  listen(listener: Fd): void {
    refuseDescriptors(listener);
    this.#acceptors.push(
      new Acceptor(listener, {
        welcome: (socket, isShort) => this.#welcome(socket, isShort),
        failed: (error) => this.#options.debug(`Cannot accept HTTP connections for now: ${error.message}`),
        closed: (error) => this.#options.bug(error, "the start of an HTTP connection"),
      }),
    );
  }

  close(): void {
    for (const acceptor of this.#acceptors) acceptor.close();
    for (const exchange of [...this.#exchanges]) exchange.close();
  }

  #welcome(socket: Fd, isShort: boolean): void {
    const caller = callerOnSocket(socket);
    let exchange: Exchange | null = null;
    const place = this.#options.peers.admit(caller, () => exchange?.close());
    if (place === null || (isShort && !place.isPrivileged)) {
      this.#options.debug(`Refused an HTTP connection of user ${caller.uid}.`);
      place?.leave();
      socket.close();
      return;
    }
    const ended = () => {
      if (exchange !== null) this.#exchanges.delete(exchange);
    };
    try {
      exchange = new Exchange(socket, { uid: caller.uid, place }, this.#options, ended);
    } catch (error) {
      place.leave();
      throw error;
    }
    this.#exchanges.add(exchange);
  }
}

/** One connection: a request and its answer. */
class Exchange {
  readonly #options: HttpServerOptions;
  readonly #peer: { readonly uid: number; readonly place: PeerPlace };
  readonly #stream: SocketStream;
  readonly #patienceMs: { readonly request: number; readonly answer: number };
  #head = "";
  /** Whether the whole head has been received. */
  #isComplete = false;
  #timer: ReturnType<typeof setTimeout>;

  constructor(
    socket: Fd,
    peer: { readonly uid: number; readonly place: PeerPlace },
    options: HttpServerOptions,
    ended: () => void,
  ) {
    this.#options = options;
    this.#peer = peer;
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
    const handlers: StreamHandlers = {
      data: (bytes) => this.#receive(bytes.toString("latin1")),
      // A peer that has shut down its writing side after the request still reads the answer.
      readEnd: () => {
        if (!this.#isComplete) this.#stream.finish();
      },
      end: () => {
        clearTimeout(this.#timer);
        peer.place.leave();
        ended();
      },
    };
    this.#stream = new SocketStream(socket, handlers);
    this.#timer = this.#limit(this.#patienceMs.request);
  }

  close(): void {
    this.#stream.close();
  }

  #limit(afterMs: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.close(), afterMs);
  }

  #receive(text: string): void {
    // The end of the head may lie partly in the data before.
    const from = Math.max(this.#head.length - END_OF_HEAD.length);
    this.#head += text;
    const end = this.#head.indexOf(END_OF_HEAD, from);
    this.#peer.place.hold(this.#head.length);
    if (end < 0 && this.#head.length <= HEAD_LIMIT_BYTES) return;
    this.#stream.pause();
    clearTimeout(this.#timer);
    this.#timer = this.#limit(this.#patienceMs.answer);
    if (end < 0 || end > HEAD_LIMIT_BYTES) {
      this.#send(plainAnswer(431), true);
      return;
    }
    this.#isComplete = true;
    // Reading a request counts towards the time of its user, too.
    this.#options.peers.turns.run(this.#peer.place.owner, () => {
      const request = parseHead(this.#head.slice(0, end));
      if (typeof request === "number") this.#send(plainAnswer(request), true);
      else void this.#answer(request);
      return false;
    });
  }

  async #answer(request: HttpRequest): Promise<void> {
    if (!this.#stream.isOpen) return;
    let answer: HttpAnswer;
    try {
      answer = await this.#options.answer(request);
    } catch (error) {
      this.#options.bug(error, `${request.method} ${request.path}`);
      answer = plainAnswer(500);
    }
    this.#send(answer, request.method === "GET");
  }

  #send({ status, type, body }: HttpAnswer, withBody: boolean): void {
    const head = [
      `HTTP/1.1 ${status} ${REASONS[status]}`,
      `Date: ${new Date().toUTCString()}`,
      `Content-Type: ${type}`,
      `Content-Length: ${body.length}`,
      ...(status === 405 ? ["Allow: GET, HEAD"] : []),
      "Cache-Control: no-store",
      "X-Content-Type-Options: nosniff",
      "Connection: close",
      "\r\n",
    ];
    this.#stream.write(Buffer.from(head.join("\r\n"), "latin1"));
    if (withBody) this.#stream.write(body);
    this.#peer.place.hold(this.#stream.queuedBytes);
    this.#stream.finish();
  }
}
