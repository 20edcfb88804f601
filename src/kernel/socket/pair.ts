// Socket pairs: socketpair(2).
import { Fd } from "../file/fd.ts";
import { AF_UNIX, SOCK_NONBLOCK_CLOEXEC } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { sys } from "../syscall/sys.ts";

export type SocketType = "stream" | "datagram" | "seqpacket";

export const SOCKET_TYPES: Readonly<Record<SocketType, number>> = { stream: 1, datagram: 2, seqpacket: 5 };
const pair = pinForever(8);

/** Returns two unix sockets that are connected to each other. */
export function socketPair(type: SocketType = "stream"): [Fd, Fd] {
  sys("socketpair", AF_UNIX, SOCKET_TYPES[type] | SOCK_NONBLOCK_CLOEXEC, 0, pair);
  return [Fd.adopt(pair.view.getInt32(0, true)), Fd.adopt(pair.view.getInt32(4, true))];
}
