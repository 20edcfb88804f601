// One connection of a Varlink server. Its calls are answered in order, one at a time. A peer that violates the protocol
// is disconnected without a reply to that message (https://varlink.org/Method-Call, sd-varlink(3)).
import { ErrnoError, MachinedError } from "../../base/error.ts";
import { Prepared } from "../../base/prepared.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { SocketStream, type StreamHandlers } from "../../kernel/socket/stream.ts";
import { type Caller, isPrivileged } from "../caller.ts";
import { GoneHandlers } from "../gone-handlers.ts";
import type { PeerPlace } from "../peers.ts";
import { type CallDescriptors, Reply, type VarlinkCall } from "./binding.ts";
import { errorText, repliesText, replyText } from "./reply-text.ts";
import { type Request, readRequest } from "./request.ts";
import { checkFields, invalidParameter } from "./schema.ts";
import { type FoundMethod, findMethod, type VarlinkServerOptions } from "./service.ts";
import { encodeMessages, type VarlinkMessage, VarlinkStream, type VarlinkStreamHandlers } from "./stream.ts";

/** The size limit of messages of users other than root: parsing a message blocks all other callers. */
const OTHERS_MESSAGE_LIMIT_BYTES = 128 << 10;

/** How many bytes of further replies are sent before other connections have their turn. */
const FEED_LENGTH = 16 << 10;

/** A peer's connection, which it owns: reads calls, and sends the replies of their handlers. */
export class ServerConnection {
  readonly #socket: Fd;
  readonly #stream: VarlinkStream;
  readonly #caller: Caller;
  readonly #place: PeerPlace;
  readonly #options: VarlinkServerOptions;
  readonly #gone = new GoneHandlers();
  /** The call that is being answered, or null. */
  #message: VarlinkMessage | null = null;
  /** Whether `#step` is queued or running in the shared queue of all connections. */
  #isQueued = false;
  #peerHasLeft = false;
  /** The source of further replies to the call that is being answered, or null. */
  #feeder: { wake(): void } | null = null;
  #finishing = false;
  /**
   * The current call is the last one: its descriptors are still in the socket, so that nothing after them can be read.
   */
  #isLast = false;

  constructor(socket: Fd, caller: Caller, place: PeerPlace, options: VarlinkServerOptions, ended: () => void) {
    this.#socket = socket;
    this.#caller = caller;
    this.#place = place;
    this.#options = options;
    const limit = place.isPrivileged ? {} : { messageLimitBytes: OTHERS_MESSAGE_LIMIT_BYTES };
    const open = (handlers: StreamHandlers) => new SocketStream(socket, handlers);
    const handlers: VarlinkStreamHandlers = {
      readable: () => this.#goOn(),
      drain: () => {
        this.#goOn();
        this.#feeder?.wake();
      },
      readEnd: () => {
        this.#finishing = true;
        this.#goOn();
      },
      hangup: () => {
        this.#peerHasLeft = true;
        if (this.#message !== null) this.close();
      },
      end: (error) => {
        if (error !== undefined) options.debug(`A Varlink peer was disconnected: ${error.message}`);
        place.leave();
        ended();
        this.#gone.call();
      },
    };
    this.#stream = new VarlinkStream(open, handlers, limit);
  }

  close(reason?: Error): void {
    this.#stream.close(reason);
  }

  /** Whether the next call may be read: one at a time, and none while the peer does not read earlier replies. */
  #isFree(): boolean {
    return this.#message === null && this.#stream.isOpen && this.#stream.takesMore;
  }

  /** Queues reading of the next call, if it may be read; called after each change of state. */
  #goOn(): void {
    this.#count();
    if (this.#isQueued || !this.#isFree()) return;
    this.#isQueued = true;
    this.#options.peers.turns.run(this.#place.owner, this.#step);
  }

  readonly #step = (): boolean => {
    this.#isQueued = this.#isFree() && this.#takeCall() && this.#isFree();
    return this.#isQueued;
  };

  #count(): void {
    this.#place.hold(this.#stream.heldBytes + (this.#message?.text.length ?? 0));
  }

  /** Reads and answers a call; returns false when none is complete. */
  #takeCall(): boolean {
    const message = this.#stream.next();
    if (message === null) {
      if (this.#finishing && this.#stream.isOpen) this.#stream.finish();
      return false;
    }
    const request = readRequest(message.text);
    if (request === null) {
      this.#stream.reject("its message is no call");
      return false;
    }
    this.#options.called?.();
    this.#message = message;
    this.#isLast = message.left > 0;
    this.#answer(request);
    // A peer that left before its call was read: close only now, after the handler registered with onGone().
    if (this.#message !== null && this.#peerHasLeft) this.close();
    return true;
  }

  #answer(request: Request): void {
    let result: unknown;
    try {
      result = this.#invoke(request);
    } catch (error) {
      this.#fail(request, error);
      return;
    }
    if (!(result instanceof Promise)) this.#reply(request, (result ?? {}) as object);
    else
      result.then(
        (value) => this.#reply(request, (value ?? {}) as object),
        (error) => this.#fail(request, error),
      );
  }

  #invoke(request: Request): unknown {
    const found = findMethod(this.#options, request.method);
    const { counts } = this.#options;
    const handle = () => this.#handle(request, found);
    if (counts === undefined) return handle();
    return counts.measure(found.table.name, request.method.slice(found.table.name.length + 1), handle);
  }

  #handle(request: Request, { table, row, handler }: FoundMethod): unknown {
    const [duplicate] = request.duplicates;
    if (duplicate !== undefined) throw invalidParameter(duplicate);
    const parameters = checkFields(table, row.in, request.parameters);
    if (row.more === "required" && !request.more) throw new MachinedError("ExpectedMore", "Expected the 'more' flag");
    if (row.access === "privileged" && !isPrivileged(this.#caller)) {
      throw new MachinedError("AccessDenied", "Access denied");
    }
    const stream = this.#stream;
    const call: VarlinkCall<object> = {
      transport: "varlink",
      access: row.access,
      more: request.more,
      interactive: parameters["allowInteractiveAuthentication"] === true,
      caller: () => Promise.resolve(this.#caller),
      onGone: (gone) => this.#gone.add(gone),
      emit: (reply) => {
        this.#stream.send([replyText(reply, true)]);
        this.#count();
      },
      feed: (next) => this.#feed(next),
      get takesMore() {
        return stream.takesMore;
      },
      descriptors: this.#descriptorsOf(this.#message),
    };
    return handler(call, parameters as never);
  }

  #descriptorsOf(message: VarlinkMessage | null): CallDescriptors | null {
    if (message === null || message.left === 0) return null;
    const receive = (most: number) => {
      if (this.#message !== message) throw new ErrnoError("EBADF", "The call has been answered");
      this.#isLast = false;
      return this.#stream.receiveLeft(message, most);
    };
    return { socket: this.#socket, bytes: message.left, receive };
  }

  /**
   * Sends further replies in the turns of the caller's user, while the peer reads; `drain` continues it. See
   * VarlinkCall.feed().
   */
  #feed(next: () => string | null): () => void {
    let isQueued = false;
    const step = (): boolean => {
      isQueued = this.#feeder === feeder && this.#stream.isOpen && this.#stream.takesMore && this.#sendSome(next);
      return isQueued;
    };
    const wake = () => {
      if (isQueued || this.#feeder !== feeder) return;
      isQueued = true;
      this.#options.peers.turns.run(this.#place.owner, step);
    };
    const feeder = { wake };
    this.#feeder = feeder;
    return wake;
  }

  /** Sends some replies; returns false where `next` has no more for now. */
  #sendSome(next: () => string | null): boolean {
    const texts: string[] = [];
    let length = 0;
    let text: string | null = null;
    while (length < FEED_LENGTH) {
      text = next();
      if (text === null) break;
      texts.push(`{"parameters":${text},"continues":true}`);
      length += text.length;
    }
    if (texts.length > 0) {
      this.#stream.send(texts);
      this.#count();
    }
    return text !== null;
  }

  #reply(request: Request, reply: object): void {
    const descriptors = (reply as { [Reply.descriptors]?: readonly Fd[] })[Reply.descriptors] ?? [];
    if (request.oneway) for (const fd of descriptors) fd.close();
    else {
      const many = (reply as { [Reply.many]?: readonly object[] | Prepared<object> })[Reply.many];
      if (many === undefined) this.#stream.send([replyText(reply, false)], descriptors);
      else if (many instanceof Prepared) {
        many.bytes ??= encodeMessages(repliesText(many.value));
        this.#stream.sendEncoded(many.bytes);
      } else this.#stream.send(repliesText(many));
    }
    this.#done();
  }

  #fail(request: Request, error: unknown): void {
    if (!request.oneway) this.#stream.send([errorText(error, (bug) => this.#options.bug(bug, request.method))]);
    this.#done();
  }

  /** Ends the current call, and queues the next one unless `#step`, which does the same, is running. */
  #done(): void {
    this.#message = null;
    this.#feeder = null;
    this.#gone.clear();
    if (this.#isLast) this.#stream.finish();
    else this.#goOn();
  }
}
