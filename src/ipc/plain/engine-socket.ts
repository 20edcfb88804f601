// Sockets of the engine for the client for short calls (client.ts). They spare loading the kernel layer, and pass no
// descriptors.
import type { OpenStream } from "../../kernel/socket/stream.ts";
import { busAddresses, unixAddressOf } from "../bus/address.ts";
import { ClientHandshake, type Handshake } from "../bus/handshake.ts";
import type { BusTarget } from "../bus/transport.ts";
import { connectEngineSocket } from "../engine-socket.ts";

/** A connected socket, and what may be sent over it. */
export interface PlainSocket {
  readonly open: OpenStream;
  readonly handshake?: Handshake | undefined;
  readonly takesDescriptors: number;
  readonly isPeerToPeer: boolean;
}

/** Connects to a target; returns null where the engine cannot: ownSocket() can, or throws the reason. */
export async function engineSocket(target: BusTarget): Promise<PlainSocket | null> {
  const isPeerToPeer = target.kind === "private";
  const path = pathOf(target);
  if (path === null) return null;
  try {
    const open = await connectEngineSocket(path);
    const handshake = new ClientHandshake(null, { passesDescriptors: false, sendsAhead: true });
    return { open, handshake, takesDescriptors: 0, isPeerToPeer };
  } catch {
    return null;
  }
}

/** The path of a target's socket; null where it has another address, or several. */
function pathOf(target: BusTarget): string | null {
  if (target.kind === "private") return target.path;
  if (target.kind !== "system" && target.kind !== "user") return null;
  const [first = "", ...others] = busAddresses(target.kind);
  if (others.length > 0) return null;
  const address = unixAddressOf(first);
  return typeof address === "string" ? address : null;
}
