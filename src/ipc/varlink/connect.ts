// Connections to Varlink services that can pass descriptors.

import { MAX_FDS } from "../../kernel/socket/max-fds.ts";
import { SocketStream } from "../../kernel/socket/stream.ts";
import { connectUnix } from "../../kernel/socket/unix.ts";
import { VarlinkClient } from "./client.ts";

/** Connects to a Varlink socket. Throws an error with errno (ENOENT, ECONNREFUSED …). */
export async function connectVarlink(path: string): Promise<VarlinkClient> {
  const socket = connectUnix(path);
  return new VarlinkClient((handlers) => new SocketStream(socket, handlers, { takesDescriptors: MAX_FDS }));
}
