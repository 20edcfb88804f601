// Joins a Varlink interface's table with its handlers. The types of handlers follow from the table: a method without a
// handler, a handler without a method and a parameter or reply of another type do not compile.
import type { Access } from "../../api/access.ts";
import type { VarlinkInterface, VarlinkParameters, VarlinkResult } from "../../api/varlink-table.ts";
import type { Prepared } from "../../base/prepared.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import type { Left } from "../../kernel/socket/unix.ts";
import type { Caller } from "../caller.ts";

/**
 * Descriptors that came with a call. They wait in the socket, and are received once: by this process or by another one.
 * A process that starts others receives none before the caller's permission is checked (see SocketStream). Where this
 * process does not receive them, the call is the last one of its connection.
 */
export interface CallDescriptors extends Left {
  /** Receives the descriptors, which the caller owns. Throws `EXFULL` for more than `most`. */
  receive(most: number): Fd[];
}

/** One call while it is handled. */
export interface VarlinkCall<Result = never> {
  readonly transport: "varlink";
  /** Who may call the method, as its row says. */
  readonly access: Access;
  /** The caller accepts more than one reply. */
  readonly more: boolean;
  readonly interactive: boolean;
  caller(): Promise<Caller>;
  onGone(handler: () => void): () => void;
  /** Sends a reply before the last one; only for a call with `more`. */
  emit(reply: Result): void;
  /**
   * Sends replies before the last one, as fast as the peer reads them. `next` returns the parameters of a reply as
   * JSON, or null when there is none at present; it is not called while the peer does not read. Returns a function to
   * call when there may be further replies. Only for a call with `more`.
   */
  feed(next: () => string | null): () => void;
  /**
   * Whether the caller reads its replies, as far as the socket shows. While it does not, periodic replies are skipped.
   */
  readonly takesMore: boolean;
  /** Descriptors that came with the call; null where none came. */
  readonly descriptors: CallDescriptors | null;
}

const many: unique symbol = Symbol("many");
const descriptors: unique symbol = Symbol("descriptors");

/** Keys of replies that are more than an object. */
export const Reply: { readonly many: typeof many; readonly descriptors: typeof descriptors } = { many, descriptors };

/** Several replies to one call. */
interface ManyReplies<Result> {
  readonly [many]: readonly Result[] | Prepared<Result>;
}

/** Descriptors that are sent with a reply; its fields name them by their index. The server closes them. */
interface WithDescriptors {
  readonly [descriptors]?: readonly Fd[];
}

/** A handler may return nothing where no field is required, and several replies where the row has `more`. */
type Answer<Result, Row> =
  | (Result & WithDescriptors)
  | (Row extends { more: string } ? ManyReplies<Result> : never)
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing
  | (object extends Result ? void : never);

/** The names of the methods that need a handler. */
type Methods<Table extends VarlinkInterface> = keyof {
  [Name in keyof Table["methods"] as Table["methods"][Name] extends { unimplemented: true } ? never : Name]: true;
};

type MaybePromise<Value> = Value | Promise<Value>;

/** One function for each method row: named parameters in, a reply out, now or later. */
export type VarlinkHandlers<Table extends VarlinkInterface, Member extends Methods<Table> = Methods<Table>> = {
  readonly [Name in Member]: (
    call: VarlinkCall<VarlinkResult<Table, Name>>,
    parameters: VarlinkParameters<Table, Name>,
  ) => MaybePromise<Answer<VarlinkResult<Table, Name>, Table["methods"][Name]>>;
};

/** A handler without its types: only the server calls it, with parameters that it has checked. */
export type AnyVarlinkHandler = (call: VarlinkCall<object>, parameters: never) => unknown;

/** A table with a handler for each of its methods; made by `bindVarlink()`. */
export interface BoundVarlink {
  readonly table: VarlinkInterface;
  readonly handlers: Readonly<Record<string, AnyVarlinkHandler>>;
}

/** Binds an interface to its handlers. */
export function bindVarlink<const Table extends VarlinkInterface>(
  table: Table,
  handlers: VarlinkHandlers<Table>,
): BoundVarlink {
  return { table, handlers: handlers as BoundVarlink["handlers"] };
}
