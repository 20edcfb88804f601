// The listening sockets of a daemon: inherited from the service manager, or made here.
import { lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { errnoNameOf } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { listenFds } from "../kernel/socket/notify.ts";
import { listenUnix } from "../kernel/socket/unix.ts";

/** A server that accepts peers on sockets that it is given; it owns and closes them. */
export interface Listener {
  listen(socket: Fd): void;
}

/** Makes the directory of a socket where it is missing. */
export function makeSocketDirectory(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
}

/** Returns a listening socket at a path with the given permissions; makes the directory where it is missing. */
export function listenAt(path: string, mode: number): Fd {
  makeSocketDirectory(path);
  // A stale link of a socket unit (Symlinks=) may be in the way.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) unlinkSync(path);
  return listenUnix(path, { mode });
}

/**
 * Calls `open`, which makes the socket at `path`. Logs a failure as a warning, because the rest of the daemon works
 * without it.
 */
export function openOrWarn(log: Log, path: string, open: (path: string) => void): void {
  try {
    open(path);
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    log.warning(`Cannot listen on ${path}: ${(error as Error).message}`);
  }
}

/** Serves Varlink on the sockets that the service manager opened for it; without any, on sockets at these paths. */
export function listenVarlink(log: Log, server: Listener, paths: readonly string[], mode: number): void {
  const inherited = listenFds().filter(({ name }) => name === "varlink");
  for (const { fd } of inherited) server.listen(fd);
  if (inherited.length > 0) return;
  for (const path of paths) openOrWarn(log, path, () => server.listen(listenAt(path, mode)));
}
