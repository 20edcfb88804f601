// The interfaces of a Varlink server with their methods, and org.varlink.service, which describes them.
import { IoSystemd, OrgVarlinkService } from "../../api/varlink/io-systemd-service.ts";
import type { VarlinkInterface, VarlinkMethod } from "../../api/varlink-table.ts";
import { MachinedError } from "../../base/error.ts";
import type { CallCounts } from "../call-counts.ts";
import type { Peers } from "../peers.ts";
import { type AnyVarlinkHandler, type BoundVarlink, bindVarlink } from "./binding.ts";
import { describeInterface } from "./schema.ts";

export interface VarlinkServerOptions {
  /** Name and version of the program, for GetInfo. */
  readonly product: string;
  readonly version: string;
  readonly interfaces: readonly BoundVarlink[];
  /** The connections of all sockets of the daemon, counted by user. */
  readonly peers: Peers;
  /** Reports an error that is a bug of this program; the caller receives EIO only. */
  bug(error: unknown, where: string): void;
  debug(message: string): void;
  /** Called for each call that is received. */
  called?(): void;
  /** Counts calls of known methods. */
  readonly counts?: CallCounts | undefined;
}

/** Returns whether a method of these interfaces accepts descriptors. */
export function takesDescriptors(interfaces: readonly BoundVarlink[]): boolean {
  return interfaces.some(({ table }) => Object.values(table.methods).some((row) => row.descriptors !== undefined));
}

/** A method with its interface and handler. */
export interface FoundMethod {
  readonly table: VarlinkInterface;
  readonly row: VarlinkMethod;
  readonly handler: AnyVarlinkHandler;
}

/** Returns the method of a full name, such as `io.systemd.Machine.List`. Throws MethodNotFound. */
export function findMethod(options: VarlinkServerOptions, name: string): FoundMethod {
  const dot = name.lastIndexOf(".");
  const member = name.slice(dot + 1);
  for (const { table, handlers } of [...options.interfaces, serviceInterface(options)]) {
    const handler = Object.hasOwn(handlers, member) ? handlers[member] : undefined;
    if (table.name !== name.slice(0, Math.max(dot, 0)) || handler === undefined) continue;
    return { table, row: table.methods[member] as VarlinkMethod, handler };
  }
  throw new MachinedError("MethodNotFound", `No method '${name}'`, { parameters: { method: name } });
}

/** Binds org.varlink.service to this server. */
function serviceInterface(options: VarlinkServerOptions): BoundVarlink {
  const tables = [IoSystemd, ...options.interfaces.map(({ table }) => table), OrgVarlinkService];
  return bindVarlink(OrgVarlinkService, {
    GetInfo: () => ({
      vendor: "The machined authors",
      product: options.product,
      version: options.version,
      url: "https://systemd.io/",
      interfaces: tables.map(({ name }) => name).sort(),
    }),
    GetInterfaceDescription: (_call, { interface: name }) => {
      const table = tables.find((candidate) => candidate.name === name);
      if (table !== undefined) return { description: describeInterface(table) };
      throw new MachinedError("InterfaceNotFound", `No interface '${name}'`, { parameters: { interface: name } });
    },
  });
}
