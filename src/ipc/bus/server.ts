// Dispatches method calls to handlers, with the order of checks and the error texts of sd-bus:
//   object → interface and member → privilege → signature → handler → reply
// Implements Peer, Introspectable and Properties for every object.
import type { Variant } from "../../base/variant.ts";
import type { CallCounts } from "../call-counts.ts";
import type { Caller } from "../caller.ts";
import { FLAG_NO_REPLY, MESSAGE_TYPE } from "../message/message.ts";
import { type BoundMethod, type BusCallContext, type BusObject, findMethod, type ObjectTree } from "./binding.ts";
import { type Arguments, Call, decode, type Origin } from "./call.ts";
import { BusError, DBUS_ERROR, describeError } from "./error.ts";
import { introspect } from "./introspection.ts";
import {
  findProperty,
  getAll,
  getProperty,
  INTROSPECTABLE,
  PEER,
  PROPERTIES,
  PROPERTY_METHODS,
} from "./standard-interfaces.ts";
import type { Incoming } from "./stream.ts";

interface ServerOptions {
  readonly tree: ObjectTree;
  /** The host's machine id as 32 hex digits, for Peer.GetMachineId; throws where there is none. */
  machineId(): string;
  /** Returns whether a user may call privileged methods and set properties. */
  isPrivileged(caller: Caller): boolean;
  /** Reports a bug of this program; the caller does not get its details. */
  bug(error: unknown, where: string): void;
  /** Called for each call that is received. */
  called?(): void;
  /** Counts calls of known methods. */
  readonly counts?: CallCounts | undefined;
}

/** The values of a reply, with their signature. */
interface Answer {
  readonly signature: string;
  readonly values: readonly unknown[];
}

const EMPTY: Answer = { signature: "", values: [] };

/** Answers the method calls of any number of connections. */
export class BusServer {
  readonly #options: ServerOptions;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /**
   * Answers a method call: before it returns (then null), or when the returned promise is fulfilled. Never throws or
   * rejects. The message's descriptors are closed when it has been answered; at once where its signature has none.
   */
  dispatch(message: Incoming, origin: Origin): Promise<void> | null {
    this.#options.called?.();
    if (!/[hv]/.test(message.signature)) closeAll(message.descriptors);
    let answer: Answer | Promise<Answer>;
    try {
      answer = this.#answer(message, origin);
    } catch (error) {
      this.#fail(message, origin, error);
      return null;
    }
    if (answer instanceof Promise) {
      return answer.then(
        (value) => this.#reply(message, origin, value),
        (error) => this.#fail(message, origin, error),
      );
    }
    this.#reply(message, origin, answer);
    return null;
  }

  /** Refuses a call without decoding it: its sender has too many unanswered calls. */
  refuse(message: Incoming, origin: Origin, text: string): void {
    this.#fail(message, origin, new BusError(`${DBUS_ERROR}.LimitsExceeded`, text));
  }

  #answer(message: Incoming, origin: Origin): Answer | Promise<Answer> {
    if (message.interface === PEER) return this.#peer(message);
    const args = () => decode(message);
    const call = new Call(message, origin);
    const object = this.#options.tree.find(message.path ?? "", call);
    if (object instanceof Promise) return object.then((found) => this.#onObject(message, call, found, args));
    return this.#onObject(message, call, object, args);
  }

  #onObject(message: Incoming, call: Call, object: BusObject | null, args: Arguments): Answer | Promise<Answer> {
    if (object === null) throw new BusError(`${DBUS_ERROR}.UnknownObject`, `Unknown object '${message.path}'.`);
    if (message.interface === PROPERTIES) {
      const read = () => this.#properties(message, call, object, args);
      return this.#counted(PROPERTIES, PROPERTY_METHODS.has(message.member ?? "") ? message.member : undefined, read);
    }
    if (message.interface === INTROSPECTABLE && message.member === "Introspect") {
      if (message.signature !== "") throw new BusError(`${DBUS_ERROR}.InvalidArgs`, "Expected no parameters");
      return { signature: "s", values: [introspect(object.interfaces, object.children())] };
    }
    call.subject = object.subject;
    return this.#method(message, call, object, args);
  }

  #method(message: Incoming, call: Call, object: BusObject, args: Arguments): Answer | Promise<Answer> {
    const found = findMethod(object, message);
    if (found === null) throw unknownMethod(message);
    const [iface, method] = found;
    const name = `${iface.table.name}.${message.member}()`;
    const { access } = method.row;
    call.access = access;
    const invoke = () => this.#invoke(message, call, name, method, args);
    return this.#counted(iface.table.name, message.member, () =>
      access === "privileged" ? this.#requirePrivilege(call, name).then(invoke) : invoke(),
    );
  }

  /** Calls `handle`, and counts the call; not for an unknown method, whose name is undefined. */
  #counted<Result>(iface: string, member: string | undefined, handle: () => Result): Result {
    const { counts } = this.#options;
    return counts === undefined || member === undefined ? handle() : counts.measure(iface, member, handle);
  }

  async #requirePrivilege(call: BusCallContext, name: string): Promise<void> {
    if (!this.#options.isPrivileged(await call.caller())) {
      throw new BusError(`${DBUS_ERROR}.AccessDenied`, `Access to ${name} not permitted.`);
    }
  }

  #invoke(
    message: Incoming,
    call: BusCallContext,
    name: string,
    method: BoundMethod,
    args: Arguments,
  ): Answer | Promise<Answer> {
    if (message.signature !== method.inSignature) {
      throw new BusError(
        `${DBUS_ERROR}.InvalidArgs`,
        `Invalid arguments '${message.signature}' to call ${name}, expecting '${method.inSignature}'.`,
      );
    }
    const values = args();
    const named: Record<string, unknown> = {};
    for (let i = 0; i < method.inNames.length; i++) named[method.inNames[i] as string] = values[i];
    const result = method.handler(call as never, named as never);
    if (result instanceof Promise) return result.then((value) => answerOf(method, value));
    return answerOf(method, result);
  }

  #peer(message: Incoming): Answer {
    if (message.member === "Ping" && message.signature === "") return EMPTY;
    if (message.member === "GetMachineId" && message.signature === "") {
      return { signature: "s", values: [this.#options.machineId()] };
    }
    throw unknownMethod(message);
  }

  #properties(message: Incoming, call: BusCallContext, object: BusObject, args: Arguments): Answer | Promise<Answer> {
    const { member, signature } = message;
    if (member === "Get") {
      if (signature !== "ss") throw wrongArguments("Expected interface and member parameters");
      const [iface, name] = args() as [string, string];
      return { signature: "v", values: [getProperty(object, iface, name)] };
    }
    if (member === "GetAll") {
      if (signature !== "s") throw wrongArguments("Expected interface parameter");
      return { signature: "a{sv}", values: [getAll(object, args()[0] as string)] };
    }
    if (member === "Set") {
      if (signature !== "ssv") throw wrongArguments("Expected interface, member and value parameters");
      const [iface, name, value] = args() as [string, string, Variant];
      return this.#set(call, object, iface, name, value);
    }
    throw unknownMethod(message);
  }

  async #set(call: BusCallContext, object: BusObject, iface: string, name: string, value: Variant): Promise<Answer> {
    const [bound, row] = findProperty(object, iface, name);
    if (row.writable !== true)
      throw new BusError(`${DBUS_ERROR}.PropertyReadOnly`, `Property '${name}' is not writable.`);
    await this.#requirePrivilege(call, `${iface}.${name}`);
    if (value.signature !== row.type) {
      throw wrongArguments(
        `Incorrect parameters for property '${name}', expected '${row.type}', got '${value.signature}'.`,
      );
    }
    bound.setters[name]?.(value.value as never);
    return EMPTY;
  }

  #reply(message: Incoming, origin: Origin, answer: Answer): void {
    try {
      if ((message.flags & FLAG_NO_REPLY) === 0) {
        origin.send({
          type: MESSAGE_TYPE.reply,
          replySerial: message.serial,
          destination: message.sender,
          signature: answer.signature,
          body: answer.values,
        });
      }
    } catch (error) {
      this.#fail(message, origin, error);
      return;
    } finally {
      closeAll(answer.values);
    }
    closeAll(message.descriptors);
  }

  #fail(message: Incoming, origin: Origin, error: unknown): void {
    const known = describeError(error);
    if (known === null) this.#options.bug(error, `${message.interface}.${message.member}()`);
    const { name, text } = known ?? {
      name: `${DBUS_ERROR}.Failed`,
      text: "Internal error, see the log of the service",
    };
    closeAll(message.descriptors);
    if ((message.flags & FLAG_NO_REPLY) !== 0) return;
    origin.send({
      type: MESSAGE_TYPE.error,
      replySerial: message.serial,
      destination: message.sender,
      errorName: name,
      signature: "s",
      body: [text],
    });
  }
}

/** Closes the descriptors among some values. */
function closeAll(values: readonly unknown[]): void {
  for (const value of values) {
    if (typeof value === "object" && value !== null && Symbol.dispose in value) (value as Disposable)[Symbol.dispose]();
  }
}

function answerOf(method: BoundMethod, result: unknown): Answer {
  const record = result as Record<string, unknown>;
  return { signature: method.outSignature, values: method.outNames.map((name) => record[name]) };
}

function unknownMethod(message: Incoming): BusError {
  const text = `Unknown method ${message.member} or interface ${message.interface ?? "(null)"}.`;
  return new BusError(`${DBUS_ERROR}.UnknownMethod`, text);
}

function wrongArguments(text: string): BusError {
  return new BusError(`${DBUS_ERROR}.InvalidArgs`, text);
}
