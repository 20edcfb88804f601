// Connections to Varlink services for calls without descriptors, through the engine's own sockets. Loading the kernel
// layer would take longer than the whole call that requests a list.
import { connectEngineSocket } from "../engine-socket.ts";
import { VarlinkClient } from "./client.ts";

/** Connects to a Varlink socket. Throws an error with a code (ENOENT, ECONNREFUSED …). */
export async function connectPlainVarlink(path: string): Promise<VarlinkClient> {
  return new VarlinkClient(await connectEngineSocket(path));
}
