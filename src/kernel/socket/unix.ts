// Unix sockets: listening, connecting, and the identity of peers. All sockets are close-on-exec and non-blocking. See
// unix(7), socket(7).
import { chmod, unlink } from "../file/directory-entry.ts";
import { Fd, openPath, statPath } from "../file/fd.ts";
import { AF_UNIX, EAGAIN, ECONNABORTED, ENOPROTOOPT, SOCK_NONBLOCK_CLOEXEC, SOL_SOCKET } from "../syscall/constants.ts";
import { type Pinned, pin, pinForever } from "../syscall/mem.ts";
import { check, isErrno, SyscallError, sys, trySys } from "../syscall/sys.ts";
import { SOCKET_TYPES, type SocketType } from "./pair.ts";
import { type Credentials, closeConnection, readInLine } from "./receive.ts";

export { socketPair } from "./pair.ts";
export type { Left } from "./receive.ts";
export { receiveLeft, receiveMessage, refuseDescriptors } from "./receive.ts";
export { sendDatagram, sendMessage } from "./send.ts";

/** A path, or an abstract name (in the network namespace). */
export type UnixAddress = string | { readonly abstract: string };

interface ListenOptions {
  /** Permissions of the socket file: write permission allows connecting. */
  readonly mode?: number;
  readonly backlog?: number;
}

const SO = {
  SNDBUF: 7,
  RCVBUF: 8,
  PASSCRED: 16,
  PEERCRED: 17,
  SNDBUFFORCE: 32,
  RCVBUFFORCE: 33,
  PASSSEC: 34,
  PASSPIDFD: 76,
  PEERPIDFD: 77,
} as const;
const LONGEST_PATH = 107;
const SHUT_RDWR = 2;

function newSocket(type: SocketType): Fd {
  return Fd.adopt(sys("socket", AF_UNIX, SOCKET_TYPES[type] | SOCK_NONBLOCK_CLOEXEC));
}

/** Returns a struct sockaddr_un { sa_family_t sun_family; char sun_path[108]; } of exactly the address's length. */
export function unixAddress(address: UnixAddress): Pinned {
  const text = typeof address === "string" ? address : `\0${address.abstract}`;
  const name = Buffer.from(text);
  if (name.length > LONGEST_PATH) throw new SyscallError("socket", "ENAMETOOLONG", text);
  if (name.length === 0 || name.includes(0, 1)) throw new SyscallError("socket", "EINVAL", text);
  // A path ends with NUL; an abstract name begins with NUL and ends with the address.
  const pinned = pin(2 + name.length + (typeof address === "string" ? 1 : 0));
  pinned.view.setUint16(0, AF_UNIX, true);
  pinned.bytes.set(name, 2);
  return pinned;
}

/** Binds a socket; a path that is too long for the address is bound relative to its directory, through /proc. */
function bindSocket(socket: Fd, address: UnixAddress): void {
  if (typeof address !== "string" || Buffer.byteLength(address) <= LONGEST_PATH) {
    const pinned = unixAddress(address);
    check(trySys("bind", socket.number, pinned, pinned.size), "bind", nameOf(address));
    return;
  }
  const { basename, dirname } = process.getBuiltinModule("node:path");
  using directory = openPath(dirname(address), "path");
  const pinned = unixAddress(`/proc/self/fd/${directory.number}/${basename(address)}`);
  check(trySys("bind", socket.number, pinned, pinned.size), "bind", address);
}

function nameOf(address: UnixAddress): string {
  return typeof address === "string" ? address : `@${address.abstract}`;
}

function removeStale(path: string): void {
  try {
    if (statPath(path, "no-follow").kind !== "socket") return;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return;
    throw error;
  }
  unlink(path);
}

/**
 * Returns a socket that is bound to `address` and does not listen yet, so that permissions are set before anybody can
 * connect. Replaces an existing socket file; throws `EADDRINUSE` for another file.
 */
export function bindUnix(address: UnixAddress, type: SocketType, mode = 0o666): Fd {
  if (typeof address === "string") removeStale(address);
  const socket = newSocket(type);
  try {
    bindSocket(socket, address);
    if (typeof address === "string") chmod(address, mode);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** Returns a stream socket that listens at `path`, of any length. Throws as `bindUnix()`. */
export function listenUnix(path: string, options: ListenOptions = {}): Fd {
  const socket = bindUnix(path, "stream", options.mode);
  listen(socket, options.backlog);
  return socket;
}

function listen(socket: Fd, backlog = 4096): void {
  const result = trySys("listen", socket.number, backlog);
  if (result < 0) socket.close();
  check(result, "listen");
}

/** Accepts the next connection; returns null where there is none. Skips connections that were aborted in the queue. */
export function acceptPeer(listener: Fd): Fd | null {
  for (;;) {
    const result = trySys("accept4", listener.number, 0, 0, SOCK_NONBLOCK_CLOEXEC);
    if (result === EAGAIN) return null;
    if (result === ECONNABORTED) continue;
    const socket = Fd.adopt(check(result, "accept"), closeConnection);
    readInLine(socket.number);
    return socket;
  }
}

/**
 * Returns a socket that is connected to `address`. Throws `EAGAIN` where the listener's backlog is full, instead of
 * blocking.
 */
export function connectUnix(address: UnixAddress, type: SocketType = "stream"): Fd {
  if (typeof address === "string" && Buffer.byteLength(address) > LONGEST_PATH) {
    using path = openPath(address, "path");
    return connectThroughFd(path, type);
  }
  return connectTo(unixAddress(address), nameOf(address), type);
}

/**
 * Returns a socket that is connected to the socket file of an O_PATH descriptor, which may be in another mount
 * namespace.
 */
export function connectThroughFd(path: Fd, type: SocketType = "stream"): Fd {
  const name = `/proc/self/fd/${path.number}`;
  return connectTo(unixAddress(name), name, type);
}

function connectTo(address: Pinned, name: string, type: SocketType): Fd {
  const socket = newSocket(type);
  const result = trySys("connect", socket.number, address, address.size);
  if (result < 0) socket.close();
  check(result, "connect", name);
  // From now on there may be descriptors in its queue.
  return Fd.adopt(socket.take(), closeConnection);
}

/**
 * Ends a connection in both directions, also where other processes hold its other side open: what was received before
 * can still be read, then comes end of file.
 */
export function endConnection(socket: Fd): void {
  trySys("shutdown", socket.number, SHUT_RDWR);
}

/** Returns an unbound datagram socket, for sending. */
export function datagramSocket(): Fd {
  return newSocket("datagram");
}

const option = pinForever(512);
const optionSize = pinForever(4);

function getOption(socket: Fd, name: number, into: Pinned = option): number {
  optionSize.view.setUint32(0, into.size, true);
  const result = trySys("getsockopt", socket.number, SOL_SOCKET, name, into, optionSize);
  return result < 0 ? result : optionSize.view.getUint32(0, true);
}

function setOption(socket: Fd, name: number, value: number): number {
  option.view.setInt32(0, value, true);
  return trySys("setsockopt", socket.number, SOL_SOCKET, name, option, 4);
}

/**
 * Returns the credentials of the peer at the time of its connect(2) or listen(2). The pid is 0 outside of our pid
 * namespace.
 */
export function peerCredentials(socket: Fd): Credentials {
  check(getOption(socket, SO.PEERCRED), "getsockopt");
  const { view } = option;
  return { pid: view.getInt32(0, true), uid: view.getUint32(4, true), gid: view.getUint32(8, true) };
}

/** Returns a pidfd of the peer; null before Linux 6.5. Throws `ESRCH` or another error where the peer has ended. */
export function peerPidFd(socket: Fd): Fd | null {
  const result = getOption(socket, SO.PEERPIDFD);
  if (result === ENOPROTOOPT) return null;
  check(result, "getsockopt");
  return Fd.adopt(option.view.getInt32(0, true));
}

/** Disables credentials, pidfds and labels in the control data of messages, which a socket unit may have enabled. */
export function passNothing(listener: Fd): void {
  for (const name of [SO.PASSCRED, SO.PASSSEC, SO.PASSPIDFD]) setOption(listener, name, 0);
}

/** Enables the sender's credentials for every message that is received from now on. */
export function passCredentials(socket: Fd): void {
  check(setOption(socket, SO.PASSCRED, 1), "setsockopt");
}

/** Sets the sizes of a socket's buffers; above the system's limit only where we are privileged. */
export function setSocketBuffers(socket: Fd, bytes: number): void {
  if (setOption(socket, SO.SNDBUFFORCE, bytes) < 0) setOption(socket, SO.SNDBUF, bytes);
  if (setOption(socket, SO.RCVBUFFORCE, bytes) < 0) setOption(socket, SO.RCVBUF, bytes);
}
