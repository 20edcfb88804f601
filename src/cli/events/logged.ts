// Reads events from the daemon's log (io.machined.Events). After a restart of the daemon, it subscribes again with the
// cursor of the last event.
import { errnoNameOf } from "../../base/error.ts";
import { Failure, failed, isVarlinkFailure, reasonOf } from "../session/failure.ts";
import type { Varlink } from "../session/ports.ts";
import type { Session } from "../session/session.ts";
import type { SeenEvent } from "./event.ts";
import type { WantedEvents } from "./wanted.ts";

const SUBSCRIBE = "io.machined.Events.Subscribe";
const UNKNOWN = ["org.varlink.service.MethodNotFound", "org.varlink.service.InterfaceNotFound"];
/** The delay before the first attempt to connect again; it doubles with each attempt. */
const RETRY_MS = 100;
const RETRY_LIMIT_MS = 1000;
const RETRIES = 40;

/** Thrown if the manager keeps no log. */
export class NoLog extends Error {
  override readonly name = "NoLog";
}

/** Yields the wanted events, and those about the log itself. Throws NoLog or a Failure. */
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
        if (!hasBegun && cursor !== undefined && refusedParameter(error) === "cursor")
          throw new Failure(`No event of this host's log has the cursor '${cursor}'`, { cause: error });
        if (isVarlinkFailure(error)) throw new Failure(`Failed to read events: ${whyRefused(error)}`, { cause: error });
        const errno = errnoNameOf(error);
        if (errno === null) throw error;
        // After a call has timed out, the session makes no further calls.
        if (!hasBegun || errno === "ETIMEDOUT") throw failed("Failed to read events of systemd-machined", error);
      } finally {
        varlink.close();
      }
    }
    if (attempts >= RETRIES) throw new Failure("systemd-machined has ended and was not started again");
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
  // The cast is not checked: the fields are only printed.
  return varlink.callMore(SUBSCRIBE, parameters) as AsyncGenerator<SeenEvent>;
}

/** Returns the parameter that a reply refuses; null for every other error. */
function refusedParameter(error: unknown): string | null {
  if (!isVarlinkFailure(error, "org.varlink.service.InvalidParameter")) return null;
  const { parameter } = (error as { readonly parameters?: { readonly parameter?: unknown } }).parameters ?? {};
  return typeof parameter === "string" ? parameter : null;
}

function whyRefused(error: Error & { readonly id?: string; readonly parameters?: unknown }): string {
  const errno = (error.parameters as { errnoName?: unknown } | undefined)?.errnoName;
  if (errno === "ENOBUFS") return "this user has too many subscriptions to events already";
  const parameter = refusedParameter(error);
  if (parameter !== null) return `the daemon, which may be of an older release, does not accept '${parameter}'`;
  return error.id ?? reasonOf(error);
}
