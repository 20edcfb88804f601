// The socket /run/systemd/machine/names, for the C library's module (src/nss/module.c) and `nss-mymachines`: a request
// of one line, a reply of a few lines, then the connection is closed. module.c describes the protocol. No request is
// awaited.
import { errnoNumber } from "../../base/errno.ts";
import { ERRORS, errnoNameOf, MachinedError } from "../../base/error.ts";
import { callerOnSocket } from "../../ipc/caller.ts";
import type { Peers } from "../../ipc/peers.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { Acceptor } from "../../kernel/socket/acceptor.ts";
import type { LocalAddress } from "../../kernel/socket/netlink.ts";
import { SocketStream, type StreamHandlers } from "../../kernel/socket/stream.ts";
import { refuseDescriptors } from "../../kernel/socket/unix.ts";
import { AF_INET } from "../../kernel/syscall/constants.ts";
import type { Daemon } from "../action/daemon.ts";
import { addressesForName } from "./addresses-for-name.ts";
import { findRecord, recordName } from "./userdb.ts";

const LINE_LIMIT_BYTES = 256;
const PATIENCE_MS = 5_000;
/** How many addresses the C library's module takes (ADDRESSES_MAX): for it, a longer answer is none. */
const ADDRESSES_LIMIT = 64;
const NOBODY = 65534;

type Answer = (daemon: Daemon, value: string) => string;

/** The queries, by the first word of the line. */
const REQUESTS: Readonly<Record<string, Answer>> = {
  HOST: hostLines,
  USER: (daemon, name) => userLine(daemon, { userName: name }),
  UID: (daemon, uid) => userLine(daemon, { uid: idOf(uid) }),
  GROUP: (daemon, name) => groupLine(daemon, { groupName: name }),
  GID: (daemon, gid) => groupLine(daemon, { gid: idOf(gid) }),
};

/** Errors that are answered as "unknown name": the C library continues with the next module. */
const NOT_OURS = new Set(["NoSuchMachine", "NoRecordFound", "InvalidArgs", "NotSupported"]);

export class NameSocket {
  readonly #daemon: Daemon;
  readonly #shares: Peers;
  #acceptor: Acceptor | null = null;
  readonly #peers = new Set<SocketStream>();

  constructor(daemon: Daemon, shares: Peers) {
    this.#daemon = daemon;
    this.#shares = shares;
  }

  /** Answers on a listening socket, which it owns. */
  listen(listener: Fd): void {
    refuseDescriptors(listener);
    this.#acceptor = new Acceptor(listener, {
      welcome: (socket, isShort) => this.#welcome(socket, isShort),
      failed: (error) => this.#daemon.log.debug(`Cannot accept queries for names for now: ${error.message}`),
      closed: (error) => this.#daemon.log.warning(`A query for names cannot be served: ${error.message}`),
    });
  }

  close(): void {
    this.#acceptor?.close();
    for (const peer of [...this.#peers]) peer.close();
  }

  #welcome(socket: Fd, isShort: boolean): void {
    const caller = callerOnSocket(socket);
    let opened: SocketStream | null = null;
    const close = () => opened?.close();
    const place = this.#shares.admit(caller, close);
    if (place === null || (isShort && !place.isPrivileged)) {
      place?.leave();
      socket.close();
      return;
    }
    let line = "";
    const timer = setTimeout(close, PATIENCE_MS);
    const handlers: StreamHandlers = {
      data: (bytes) => {
        line += bytes.toString("latin1", 0, LINE_LIMIT_BYTES + 1);
        if (!line.includes("\n") && line.length <= LINE_LIMIT_BYTES) return;
        peer.pause();
        this.#shares.turns.run(place.owner, () => this.#reply(peer, line));
      },
      // A client that has disconnected gets no answer.
      end: () => {
        clearTimeout(timer);
        place.leave();
        this.#peers.delete(peer);
      },
    };
    try {
      opened = new SocketStream(socket, handlers);
    } catch (error) {
      clearTimeout(timer);
      place.leave();
      throw error;
    }
    const peer = opened;
    this.#peers.add(peer);
  }

  #reply(peer: SocketStream, line: string): false {
    const end = line.indexOf("\n");
    if (!peer.isOpen) return false;
    if (end >= 0 && end <= LINE_LIMIT_BYTES) peer.write(Buffer.from(this.#answer(line.slice(0, end))));
    peer.finish();
    return false;
  }

  #answer(line: string): string {
    const space = line.indexOf(" ");
    const word = line.slice(0, space);
    if (!Object.hasOwn(REQUESTS, word)) return "ER 22\n";
    try {
      return (REQUESTS[word] as Answer)(this.#daemon, line.slice(space + 1));
    } catch (error) {
      if (error instanceof MachinedError) {
        return NOT_OURS.has(error.code) ? "NO\n" : `ER ${errnoNumber(ERRORS[error.code].errno) ?? 5}\n`;
      }
      return `ER ${errnoNumber(errnoNameOf(error) ?? "EIO") ?? 5}\n`;
    }
  }
}

function hostLines(daemon: Daemon, name: string): string {
  const found = addressesForName(daemon, name);
  if (found === null) return "NO\n";
  const lines = someOf(found.addresses).map(({ family, bytes }) => {
    return `${family === AF_INET ? 4 : 6} ${Buffer.from(bytes).toString("hex")}\n`;
  });
  return `OK ${found.ifindex ?? 0}\n${lines.join("")}`;
}

/** Returns the first addresses of each family; each has room for half of those that are told, if it has as many. */
function someOf(addresses: readonly LocalAddress[]): readonly LocalAddress[] {
  if (addresses.length <= ADDRESSES_LIMIT) return addresses;
  const older = addresses.filter(({ family }) => family === AF_INET);
  const newer = addresses.filter(({ family }) => family !== AF_INET);
  const ofNewer = Math.min(newer.length, Math.max(ADDRESSES_LIMIT - older.length, ADDRESSES_LIMIT / 2));
  return [...older.slice(0, ADDRESSES_LIMIT - ofNewer), ...newer.slice(0, ofNewer)];
}

function idOf(text: string): number {
  return /^\d{1,10}$/.test(text) ? Number(text) : -1;
}

function userLine(daemon: Daemon, query: Readonly<Record<string, unknown>>): string {
  const found = findRecord(daemon, "uid", query);
  return `PW ${recordName("uid", found)} ${found.outer} ${NOBODY} UID ${found.inner} of Container ${found.machine.name}\n`;
}

function groupLine(daemon: Daemon, query: Readonly<Record<string, unknown>>): string {
  const found = findRecord(daemon, "gid", query);
  return `GR ${recordName("gid", found)} ${found.outer}\n`;
}
