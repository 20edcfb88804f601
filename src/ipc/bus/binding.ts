// Joins a D-Bus interface's table with its handlers, and the objects that have interfaces. The types of handlers follow
// from the table: a method without a handler does not compile.
import type { Access } from "../../api/access.ts";
import type { BusInterface, BusMethod, Getters, Handlers } from "../../api/table.ts";
import type { Caller } from "../caller.ts";

/** One call, as its handler sees it. */
export interface BusCallContext<Subject = unknown> {
  readonly transport: "bus";
  /** Who may call the method, as its row says. */
  readonly access: Access;
  readonly path: string;
  /** The caller allows interactive authorization (a password prompt). */
  readonly interactive: boolean;
  /** The subject of the path; it must be read again after an await. */
  readonly subject: Subject;
  caller(): Promise<Caller>;
  /** Calls back when the caller disconnects; returns a function that cancels this. */
  onGone(handler: () => void): () => void;
}

type AnyHandler = (call: BusCallContext<never>, args: never) => unknown;

/** A method with its handler, signatures and argument names. */
export interface BoundMethod {
  readonly row: BusMethod;
  readonly inSignature: string;
  readonly inNames: readonly string[];
  readonly outSignature: string;
  readonly outNames: readonly string[];
  readonly handler: AnyHandler;
}

/** An interface with its handlers, ready to be called. */
export interface BoundInterface {
  readonly table: BusInterface;
  readonly methods: ReadonlyMap<string, BoundMethod>;
  readonly getters: Readonly<Record<string, (subject: never) => unknown>>;
  readonly setters: Readonly<Record<string, (value: never) => void>>;
}

/** Binds handlers to a table; `setters` are for writable properties. */
export function bindInterface<const Table extends BusInterface, Subject>(
  table: Table,
  handlers: Handlers<Table, BusCallContext<Subject>>,
  getters: Getters<Table, Subject>,
  setters: Readonly<Record<string, (value: never) => void>> = {},
): BoundInterface {
  const methods = new Map<string, BoundMethod>();
  for (const [member, row] of Object.entries(table.methods)) {
    methods.set(member, {
      row,
      inSignature: Object.values(row.in).join(""),
      inNames: Object.keys(row.in),
      outSignature: Object.values(row.out).join(""),
      outNames: Object.keys(row.out),
      handler: (handlers as Record<string, AnyHandler>)[member] as AnyHandler,
    });
  }
  return { table, methods, getters: getters as BoundInterface["getters"], setters };
}

/** An object: its interfaces, and the subject that their handlers receive. */
export interface BusObject {
  readonly interfaces: readonly BoundInterface[];
  readonly subject: unknown;
  /** The names of the objects directly below this one. */
  children(): readonly string[];
}

/** The objects of a service. `find` is asynchronous where the object depends on the caller (`…/machine/self`). */
export interface ObjectTree {
  find(path: string, call: BusCallContext): BusObject | null | Promise<BusObject | null>;
}

/**
 * Returns the interface and method of a call; null where the object has none. Without an interface in the message, the
 * first interface with the member is taken (D-Bus specification, "Message Types").
 */
export function findMethod(
  object: BusObject,
  message: { readonly interface?: string | undefined; readonly member?: string | undefined },
): [BoundInterface, BoundMethod] | null {
  for (const iface of object.interfaces) {
    if (message.interface !== undefined && iface.table.name !== message.interface) continue;
    const method = iface.methods.get(message.member ?? "");
    if (method !== undefined) return [iface, method];
  }
  return null;
}
