// Binds the methods of io.systemd.Machine that work inside a machine (Open, CopyTo, BindMount …): mapping of arguments
// only.
import type { IoSystemdMachine } from "../../api/varlink/io-systemd-machine.ts";
import type { VarlinkParameters } from "../../api/varlink-table.ts";
import { invalidArgument } from "../../base/error.ts";
import { Reply, type VarlinkCall, type VarlinkHandlers } from "../../ipc/varlink/binding.ts";
import type { Pty } from "../../kernel/terminal/pty.ts";
import { perform } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { bindMount, type CopyRequest, copyFiles } from "./files.ts";
import { openLogin, openPty, openRootDirectory, openShell } from "./terminals.ts";

type Table = typeof IoSystemdMachine;
type Parameters<Member extends keyof Table["methods"]> = VarlinkParameters<Table, Member>;

/** The methods that are bound here. */
type Inside = "BindMount" | "CopyFrom" | "CopyTo" | "Open" | "OpenRootDirectory";

/** Returns the name of the machine that a call's `name` and `pid` mean. */
type FindName = (call: VarlinkCall, lookup: Parameters<"OpenRootDirectory">) => Promise<string>;

/** Returns the handlers, by method. */
export function openVarlinkHandlers(daemon: Daemon, findName: FindName): VarlinkHandlers<Table, Inside> {
  const copy = async (call: VarlinkCall, direction: CopyRequest["direction"], p: Parameters<"CopyTo">) => {
    const { source, replace = false } = p;
    const destination = destinationOf(p);
    const request = { source, destination, direction, flags: replace ? 1n : 0n };
    await perform(daemon, call, copyFiles, { ...request, name: await findName(call, p) });
  };
  return {
    BindMount: async (call, p) => {
      const { source, readOnly = false, mkdir = false } = p;
      const destination = destinationOf(p);
      const request = { source, destination, readOnly, mkdir };
      await perform(daemon, call, bindMount, { ...request, name: await findName(call, p) });
    },
    CopyFrom: (call, p) => copy(call, "from-machine", p),
    CopyTo: (call, p) => copy(call, "to-machine", p),
    Open: async (call, p) => terminal(await open(daemon, call, await findName(call, p), p)),
    OpenRootDirectory: async (call, p) => {
      const fd = await perform(daemon, call, openRootDirectory, { name: await findName(call, p) });
      return { fileDescriptor: 0, [Reply.descriptors]: [fd] };
    },
  };
}

/**
 * Returns the destination; "", which means the path of the source, where it is absent. The client cannot send "": it
 * has this meaning on D-Bus only, as in the original.
 */
function destinationOf({ destination }: Pick<Parameters<"CopyTo">, "destination">): string {
  if (destination === "") throw invalidArgument("destination", "Not an absolute path");
  return destination ?? "";
}

function open(daemon: Daemon, call: VarlinkCall, name: string, p: Parameters<"Open">): Pty | Promise<Pty> {
  if (p.mode === "tty") return perform(daemon, call, openPty, { name });
  if (p.mode === "login") return perform(daemon, call, openLogin, { name });
  const { user = "", path = "", args = [], environment = [] } = p;
  return perform(daemon, call, openShell, { name, user, path, args, environment });
}

function terminal({ master, path }: Pty) {
  return { ptyFileDescriptor: 0, ptyPath: path, [Reply.descriptors]: [master] };
}
