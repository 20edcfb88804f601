// Events from the daemon's own log (io.machined.Events), over restarts of the daemon: reading goes on behind the last event
// that was seen.
import { errnoNameOf } from "../../base/error.ts";
import { Failure, isVarlinkFailure, reasonOf } from "../session/failure.ts";
import type { Varlink } from "../session/ports.ts";
import type { Session } from "../session/session.ts";
import type { SeenEvent } from "./event.ts";
import type { WantedEvents } from "./wanted.ts";

const SUBSCRIBE = "io.machined.Events.Subscribe";
const UNKNOWN = ["org.varlink.service.MethodNotFound", "org.varlink.service.InterfaceNotFound"];
/** A daemon that is being replaced is back after moments. */
const RETRY_MS = 100;
const RETRY_LIMIT_MS = 1000;
const RETRIES = 40;

/** The manager keeps no log. */
export class NoLog extends Error {
  override readonly name = "NoLog";
}

/** All events that are asked for, those about the log itself included. Throws NoLog, or a Failure. */
export async function* loggedEvents(session: Session, wanted: WantedEvents): AsyncGenerator<SeenEvent> {
  let cursor = wanted.cursor ?? undefined;
  let hasBegun = false;
  for (let attempts = 0; ; attempts++) {
    const varlink = await session.varlink();
    if (varlink === null && !hasBegun) throw new NoLog();
    if (varlink !== null) {
      try {
        for await (const event of subscribe(varlink, wanted, cursor)) {
          cursor = event.cursor;
          hasBegun = true;
          attempts = 0;
          yield event;
        }
        return;
      } catch (error) {
        const isUnknown = isVarlinkFailure(error, ...UNKNOWN);
        if (isUnknown && !hasBegun) throw new NoLog();
        if (!hasBegun && cursor !== undefined && isVarlinkFailure(error, "org.varlink.service.InvalidParameter"))
          throw new Failure(`'${cursor}' is the cursor of no event of this log`, { cause: error });
        if (isVarlinkFailure(error)) throw new Failure(`Failed to read events: ${whyRefused(error)}`, { cause: error });
        if (!hasBegun || errnoNameOf(error) === null) throw error;
      } finally {
        varlink.close();
      }
    }
    if (attempts >= RETRIES) throw new Failure("systemd-machined has ended, and did not come back");
    await Bun.sleep(Math.min(RETRY_MS * 2 ** attempts, RETRY_LIMIT_MS));
  }
}

function subscribe(varlink: Varlink, wanted: WantedEvents, cursor: string | undefined): AsyncGenerator<SeenEvent> {
  const { sinceUsec, names, types, follows } = wanted;
  const parameters = {
    ...(cursor === undefined ? (sinceUsec === null ? {} : { sinceUSec: Math.max(sinceUsec, 0) }) : { cursor }),
    ...(names === null ? {} : { names }),
    ...(types === null ? {} : { types }),
    follow: follows,
  };
  // What the daemon sends is printed, field by field, and never trusted further.
  return varlink.callMore(SUBSCRIBE, parameters) as AsyncGenerator<SeenEvent>;
}

function whyRefused(error: Error & { readonly id?: string; readonly parameters?: unknown }): string {
  const errno = (error.parameters as { errnoName?: unknown } | undefined)?.errnoName;
  if (errno === "ENOBUFS") return "this user reads events too often at once already";
  return error.id ?? reasonOf(error);
}
