// Sockets of our own for the client for short calls (client.ts): for addresses that the engine cannot connect to, and
// for descriptors.
import { expectShortLife } from "../../kernel/event/poller.ts";
import { MAX_FDS } from "../../kernel/socket/max-fds.ts";
import { streamOn } from "../../kernel/socket/stream.ts";
import { type BusTarget, openTransport } from "../bus/transport.ts";
import type { PlainSocket } from "./engine-socket.ts";

/** Connects to a target. Throws an error with errno. */
export async function ownSocket(target: BusTarget): Promise<PlainSocket> {
  expectShortLife();
  const { fd, handshake, peerToPeer = false } = await openTransport(target);
  return { open: streamOn(fd), handshake, takesDescriptors: MAX_FDS, isPeerToPeer: peerToPeer };
}
