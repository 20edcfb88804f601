// Sends the output of a command in pieces to the inbox of the caller, who acknowledges each one before the next is
// sent.
import type { MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import { PIECE_HEADER } from "../fleet/request.ts";
import type { VerbRun } from "./run-verb.ts";

/** The size of a piece. */
const PIECE_BYTES = 32 << 10;
/** The deadline for the acknowledgement of a piece. */
const ACK_MS = 30_000;
/** While a command has no output, an empty piece is sent at this interval, which the caller must acknowledge. */
const ALIVE_MS = 10_000;

/** Sends the output of the command and its exit status. Ends the command when the caller acknowledges no more. */
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
    // The caller or the server has disconnected.
    run.stop();
    await run.child.exited;
  } finally {
    clearInterval(timer);
  }
}
