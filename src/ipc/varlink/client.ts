// A Varlink client: one call at a time, or pipelined; replies arrive in the order of the calls.
import { isUtf8 } from "node:buffer";
import { ErrnoError } from "../../base/error.ts";
import { formatJson, type JsonObject, parseJson } from "../../base/text/json.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { OpenStream } from "../../kernel/socket/stream.ts";
import { VarlinkStream } from "./stream.ts";

/** An error reply: its id ("io.systemd.Machine.NoSuchMachine") and parameters. */
export class VarlinkError extends Error {
  override readonly name = "VarlinkError";
  readonly id: string;
  readonly parameters: Record<string, unknown>;

  constructor(id: string, parameters: Record<string, unknown>) {
    super(id);
    this.id = id;
    this.parameters = parameters;
  }
}

/** The options of a call. */
interface CallOptions {
  readonly timeoutMs?: number;
  /** Sent with the call and closed here. */
  readonly descriptors?: readonly Fd[];
}

interface Waiting {
  /** Takes several replies together; only for `callAll()`. */
  collect?(replies: readonly JsonObject[], continues: boolean): void;
  reply(parameters: Record<string, unknown>, continues: boolean): void;
  /** Takes the descriptors of a reply, before `reply()`; without it they are closed. */
  receive?(descriptors: Fd[]): void;
  fail(error: Error): void;
}

const CALL_TIMEOUT_MS = 45_000;

export class VarlinkClient {
  readonly #stream: VarlinkStream;
  readonly #waiting: Waiting[] = [];
  /** Descriptors of the last reply that had any. The caller of the method takes them out and owns them. */
  descriptors: Fd[] = [];
  #failure: Error | null = null;

  /** `open` makes the stream of the socket: see connect.ts and plain.ts. */
  constructor(open: OpenStream) {
    this.#stream = new VarlinkStream(open, {
      message: (text, descriptors) => this.#receive(text, descriptors),
      messages: (bytes) => this.#receiveMany(bytes),
      end: (error) =>
        this.#fail(new ErrnoError("ECONNRESET", `Connection terminated${error ? `: ${error.message}` : ""}`)),
    });
  }

  /** Makes a call with one reply. Throws VarlinkError, or an error with errno when the connection is lost. */
  call(method: string, parameters: object = {}, options: CallOptions = {}): Promise<Record<string, unknown>> {
    const { timeoutMs = CALL_TIMEOUT_MS, descriptors = [] } = options;
    return new Promise((resolve, reject) => {
      const timer = this.#startTimer(method, timeoutMs);
      const waiting: Waiting = {
        receive: (received) => {
          this.descriptors = received;
        },
        reply: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
        fail: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#send(method, parameters, false, waiting, descriptors);
    });
  }

  /**
   * Makes a call with any number of replies, whose descriptors are closed. Those of the call are sent with it and
   * closed here.
   */
  async *callMore(
    method: string,
    parameters: object = {},
    descriptors: readonly Fd[] = [],
  ): AsyncGenerator<Record<string, unknown>> {
    let replies: Record<string, unknown>[] = [];
    let over = false;
    let failure: Error | null = null;
    let wake: () => void = () => {};
    const waiting: Waiting = {
      reply: (answer, continues) => {
        replies.push(answer);
        over = !continues;
        wake();
      },
      fail: (error) => {
        failure = error;
        wake();
      },
    };
    this.#send(method, parameters, true, waiting, descriptors);
    for (;;) {
      // Delivered replies are dropped: their number may be unlimited.
      while (replies.length > 0) {
        const some = replies;
        replies = [];
        yield* some;
      }
      if (failure !== null) throw failure;
      if (over) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  /**
   * Makes a call; returns all its replies together, after the last one. The time limit is for all of them. Throws as
   * `call()`.
   */
  callAll(
    method: string,
    parameters: object = {},
    { timeoutMs = CALL_TIMEOUT_MS }: Pick<CallOptions, "timeoutMs"> = {},
  ): Promise<Record<string, unknown>[]> {
    return new Promise((resolve, reject) => {
      const timer = this.#startTimer(method, timeoutMs);
      const replies: Record<string, unknown>[] = [];
      const goOn = (continues: boolean) => {
        if (continues) return;
        clearTimeout(timer);
        resolve(replies);
      };
      const waiting: Waiting = {
        collect: (some, continues) => {
          for (const { parameters } of some) replies.push(fieldsOf(parameters));
          goOn(continues);
        },
        reply: (answer, continues) => {
          replies.push(answer);
          goOn(continues);
        },
        fail: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#send(method, parameters, true, waiting);
    });
  }

  /** Closes the connection to a service that does not reply in time, which fails all calls to it. */
  #startTimer(method: string, timeoutMs: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      this.#fail(new ErrnoError("ETIMEDOUT", `No answer to ${method}() in time`));
      this.close();
    }, timeoutMs);
  }

  close(): void {
    this.#stream.close();
  }

  #send(method: string, parameters: object, more: boolean, waiting: Waiting, descriptors: readonly Fd[] = []): void {
    if (this.#failure !== null) {
      for (const fd of descriptors) fd.close();
      waiting.fail(this.#failure);
      return;
    }
    this.#waiting.push(waiting);
    this.#stream.send([formatJson({ method, parameters, more: more || undefined })], descriptors);
  }

  /** Receives all replies of a call at once. Where a reply is an error or malformed, they are received one by one. */
  #receiveMany(bytes: Buffer): boolean {
    const waiting = this.#waiting[0];
    const replies = waiting?.collect === undefined ? null : readReplies(bytes);
    if (replies === null) return false;
    const continues = replies.at(-1)?.["continues"] === true;
    if (!continues) this.#waiting.shift();
    waiting?.collect?.(replies, continues);
    return true;
  }

  #receive(text: string, descriptors: Fd[]): void {
    const waiting = this.#waiting[0];
    const answer = readReply(text);
    if (waiting?.receive !== undefined && answer?.error === null) waiting.receive(descriptors);
    else for (const fd of descriptors) fd.close();
    if (waiting === undefined || answer === null) {
      this.#fail(new ErrnoError("EBADMSG", "The service sent no valid reply"));
      this.close();
      return;
    }
    if (!answer.continues) this.#waiting.shift();
    if (answer.error !== null) waiting.fail(new VarlinkError(answer.error, answer.parameters));
    else waiting.reply(answer.parameters, answer.continues);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiting of this.#waiting.splice(0)) waiting.fail(error);
  }
}

/**
 * 2^53 has 16 digits and begins with a 9. The pattern looks at beginnings of numbers only, because long texts are
 * searched.
 */
const LONG_INTEGER = /\D(?:9\d{15}|\d{17})/;

/**
 * Parses error-free replies to one call as one text, in a fraction of the time of parsing each. Returns null for
 * others.
 */
function readReplies(bytes: Buffer): JsonObject[] | null {
  const text = isUtf8(bytes) ? bytes.toString() : "";
  if (text === "" || LONG_INTEGER.test(text)) return null;
  const texts = text.split("\0");
  // The part after the last NUL is empty.
  texts.pop();
  try {
    const replies: (JsonObject | null)[] = JSON.parse(`[${texts.join(",")}]`);
    const last = texts.length - 1;
    const fit = (reply: JsonObject | null, index: number) =>
      typeof reply === "object" && reply?.["error"] === undefined && (index === last || reply?.["continues"] === true);
    return replies.length === texts.length && replies.every(fit) ? (replies as JsonObject[]) : null;
  } catch {
    return null;
  }
}

function fieldsOf(parameters: unknown): JsonObject {
  return typeof parameters === "object" && parameters !== null ? (parameters as JsonObject) : {};
}

function readReply(text: string): { parameters: JsonObject; continues: boolean; error: string | null } | null {
  try {
    // Only integers beyond 2^53 need the strict parser: a service is trusted more than a client.
    const value = (LONG_INTEGER.test(text) ? parseJson(text).value : JSON.parse(text)) as JsonObject | null;
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    const { parameters, continues, error } = value;
    return {
      parameters: fieldsOf(parameters),
      continues: continues === true,
      error: typeof error === "string" ? error : null,
    };
  } catch {
    return null;
  }
}
