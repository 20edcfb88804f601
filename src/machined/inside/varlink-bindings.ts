// Varlink methods that reach inside a machine → actions: argument mapping only (io.systemd.Machine, Open ff.).
import { Reply, type VarlinkCall, type VarlinkHandler } from "../../ipc/varlink/server.ts";
import type { Pty } from "../../kernel/terminal/pty.ts";
import { perform } from "../action/action.ts";
import type { Daemon } from "../action/daemon.ts";
import { bindMount, type CopyRequest, copyFiles } from "./files.ts";
import { openLogin, openPty, openRootDirectory, openShell } from "./terminals.ts";

interface OpenParameters {
  readonly mode: "tty" | "login" | "shell";
  readonly user?: string;
  readonly path?: string;
  readonly args?: readonly string[];
  readonly environment?: readonly string[];
}

interface CopyParameters {
  readonly source: string;
  readonly destination?: string;
  readonly replace?: boolean;
}

interface BindParameters {
  readonly source: string;
  readonly destination?: string;
  readonly readOnly?: boolean;
  readonly mkdir?: boolean;
}

/** Finds the name of the machine that a call's `name` and `pid` mean. */
export type FindName = (call: VarlinkCall, lookup: object) => Promise<string>;

/** The handlers, by method. */
export function openVarlinkHandlers(daemon: Daemon, findName: FindName): Record<string, VarlinkHandler> {
  const copy = async (call: VarlinkCall, direction: CopyRequest["direction"], p: CopyParameters) => {
    const { source, destination = "", replace = false } = p;
    const request = { source, destination, direction, flags: replace ? 1n : 0n };
    await perform(daemon, call, copyFiles, { ...request, name: await findName(call, p) });
  };
  return {
    BindMount: async (call, p: BindParameters) => {
      const { source, destination = "", readOnly = false, mkdir = false } = p;
      const request = { source, destination, readOnly, mkdir };
      await perform(daemon, call, bindMount, { ...request, name: await findName(call, p) });
    },
    CopyFrom: (call, p: CopyParameters) => copy(call, "from-machine", p),
    CopyTo: (call, p: CopyParameters) => copy(call, "to-machine", p),
    Open: async (call, p: OpenParameters) => terminal(await open(daemon, call, await findName(call, p), p)),
    OpenRootDirectory: async (call, p: object) => {
      const fd = await perform(daemon, call, openRootDirectory, { name: await findName(call, p) });
      return { fileDescriptor: 0, [Reply.descriptors]: [fd] };
    },
  };
}

function open(daemon: Daemon, call: VarlinkCall, name: string, p: OpenParameters): Pty | Promise<Pty> {
  if (p.mode === "tty") return perform(daemon, call, openPty, { name });
  if (p.mode === "login") return perform(daemon, call, openLogin, { name });
  const { user = "", path = "", args = [], environment = [] } = p;
  return perform(daemon, call, openShell, { name, user, path, args, environment });
}

function terminal({ master, path }: Pty) {
  return { ptyFileDescriptor: 0, ptyPath: path, [Reply.descriptors]: [master] };
}
