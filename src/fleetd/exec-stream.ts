// The output of a command, piece by piece to the inbox of the caller, who acknowledges each: no more is on its way than that.
import type { MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import { PIECE_HEADER } from "../fleet/request.ts";
import type { VerbRun } from "./run-verb.ts";

/** Bytes of a piece. */
const PIECE_BYTES = 32 << 10;
/** How long the caller may take to acknowledge one. */
const ACK_MS = 30_000;
/** A command that says nothing is asked about this often: whether its caller is still there. */
const ALIVE_MS = 10_000;

/** Sends the output of the command and its exit status. A caller that is gone ends the command. */
export async function streamCommand(nats: NatsConnection, inbox: string, run: VerbRun): Promise<void> {
  const { headers } = await import("@nats-io/transport-node");
  const send = async (kind: string, bytes: Uint8Array | string) => {
    const header: MsgHdrs = headers();
    header.set(PIECE_HEADER, kind);
    await nats.request(inbox, bytes, { headers: header, timeout: ACK_MS });
  };
  const copy = async (kind: string, stream: ReadableStream<Uint8Array>) => {
    for await (const chunk of stream) {
      for (let at = 0; at < chunk.length; at += PIECE_BYTES) await send(kind, chunk.subarray(at, at + PIECE_BYTES));
    }
  };
  const timer = setInterval(() => void send("alive", "").catch(() => run.stop()), ALIVE_MS);
  try {
    await Promise.all([copy("stdout", run.child.stdout), copy("stderr", run.child.stderr)]);
    await send("end", String(await run.child.exited));
  } catch {
    // The caller is gone, or the server: nobody waits for the command any more.
    run.stop();
    await run.child.exited;
  } finally {
    clearInterval(timer);
  }
}
