// `machinectl --fleet exec`: a command in a machine of another host. Its output arrives in pieces, then its exit
// status.
import type { Msg } from "@nats-io/transport-node";
import type { FleetClient } from "../../fleet/client.ts";
import { refusedSubject } from "../../fleet/connect.ts";
import { answerError, askError, connectionEnded, FleetError, silentHost } from "../../fleet/errors.ts";
import { requestSubject } from "../../fleet/names.ts";
import { PIECE_HEADER, readAnswer } from "../../fleet/request.ts";
import { commandIn, EXIT_UNREAD, orExitOurs } from "../exec/order.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { chosenHosts, withFleet } from "./open.ts";
import { placesOf } from "./places.ts";

const EXIT_INTERRUPTED = 130;
/** The deadline for the next piece: an agent sends one at least every ten seconds. */
const SILENCE_MS = 45_000;

/** Handles a piece; returns the exit status of the last one, else null. */
function take({ output }: Session, host: string, message: Msg): number | null {
  const kind = message.headers?.get(PIECE_HEADER) ?? "";
  if (kind === "stdout") output.writeBytes(message.data);
  else if (kind === "stderr") output.writeErrorBytes(message.data);
  else if (kind === "end") return exitStatusIn(host, message.string());
  else if (kind === "") throw refusalOf(host, message);
  return null;
}

/**
 * Returns the exit status that ends a command. Throws a FleetError for anything else, which must not pass for success.
 */
export function exitStatusIn(host: string, text: string): number {
  const status = /^\d{1,3}$/.test(text) ? Number(text) : 256;
  if (status > 255) throw answerError(host);
  return status;
}

/** Returns the reason why an agent does not run the command. */
function refusalOf(host: string, message: Msg): FleetError {
  const answer = readAnswer(message.string());
  return answer === null ? answerError(host) : new FleetError(answer.error);
}

async function runThere(session: Session, fleet: FleetClient, host: string, body: object): Promise<number> {
  const { nats } = fleet;
  const ended = Promise.withResolvers<number>();
  const late = () => ended.reject(silentHost(host, SILENCE_MS));
  const timer = setTimeout(late, SILENCE_MS);
  const inbox = fleet.inbox();
  const subscription = nats.subscribe(inbox, {
    callback: (error, message) => {
      if (error !== null) return ended.reject(askError(host, error, SILENCE_MS));
      if (message.headers?.code === 503) return ended.reject(askError(host, new Error("no responders"), SILENCE_MS));
      timer.refresh();
      try {
        const status = take(session, host, message);
        message.respond("");
        if (status !== null) ended.resolve(status);
        // Nobody reads the output any more: the agent ends the command, which may write forever.
        if (session.output.isOver) ended.resolve(EXIT_UNREAD);
      } catch (failure) {
        ended.reject(failure);
      }
    },
  });
  void fleet.refused().then((error) => {
    if (refusedSubject(error) !== null) ended.reject(askError(host, error, SILENCE_MS));
  });
  void nats.closed().then(() => ended.reject(connectionEnded()));
  const interrupt = session.ports.interrupted();
  // The inbox ends with this client: the agent notices the missing acknowledgements, and ends the command.
  void interrupt.promise.then(() => ended.resolve(EXIT_INTERRUPTED));
  try {
    nats.publish(requestSubject(host, "exec", "run"), JSON.stringify(body), { reply: inbox });
    const status = await ended.promise;
    if (!nats.isClosed()) await nats.flush();
    return status;
  } finally {
    interrupt.stop();
    clearTimeout(timer);
    subscription.unsubscribe();
  }
}

function refuse({ settings }: Session): void {
  const { tty, detach, environment, directory } = settings;
  if (tty || detach || environment.length > 0 || directory !== null)
    throw new Failure("exec with --fleet does not take --tty, --setenv=, --chdir= or --detach", {
      hint: "Run 'machinectl exec' on the host, or 'machinectl -H HOST exec' over ssh.",
    });
}

/** The verb `exec`. The command has no standard input. */
export async function exec(session: Session, [place = "", ...words]: readonly string[]): Promise<number> {
  const command = commandIn(words);
  refuse(session);
  const at = place.lastIndexOf("@");
  const [user, name] = at > 0 ? [place.slice(0, at), place.slice(at + 1)] : [session.settings.uid, place];
  return orExitOurs(session, () => {
    const [one] = placesOf([name], chosenHosts(session));
    if (one === undefined) throw new Failure(`'${place}' is not of the form HOST/NAME`);
    const body = { machines: one.machines, command, user, timeoutMs: session.settings.timeoutMs };
    return withFleet(session, (fleet) => runThere(session, fleet, one.host, body));
  });
}
