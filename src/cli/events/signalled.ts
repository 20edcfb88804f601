// Makes events from the signals MachineNew and MachineRemoved, for managers whose log cannot be read: systemd's own,
// and those that are reached by -H and -M.
import { machineFacts } from "../machine/details.ts";
import { attempt, CONNECTION_LOST, Failure, orNull } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { SeenEvent } from "./event.ts";
import type { WantedEvents } from "./wanted.ts";

const MANAGER = { sender: "org.freedesktop.machine1", path: "/org/freedesktop/machine1" } as const;
/** The largest number of events that wait to be printed; if output is too slow, the oldest are dropped. */
const WAITING_LIMIT = 10_000;

/**
 * Yields the starts and ends of machines from now on. Prints on stderr that other events are missing. Throws a Failure
 * if the caller wants past events, or only events that signals do not report.
 */
export async function* signalledEvents(session: Session, wanted: WantedEvents): AsyncGenerator<SeenEvent> {
  const { ports, report, settings } = session;
  const nowUsec = Number(ports.nowUsec());
  const isHere = settings.transport.kind === "local";
  const why = isHere ? "This manager keeps no events" : "The log of events cannot be read over -H and -M";
  if (!wanted.follows || (wanted.sinceUsec ?? nowUsec) < nowUsec) {
    throw new Failure(`${why}: past events cannot be shown`);
  }
  if (wanted.types !== null && !wanted.types.includes("machine")) {
    throw new Failure(`${why}: only the starts and ends of machines can be shown`);
  }
  const waiting: SeenEvent[] = [];
  let missed = 0;
  let wake = () => {};
  const bus = await session.managerConnection("signals");
  const enqueue = (event: string) => (body: readonly unknown[]) => {
    waiting.push({ time: Number(ports.nowUsec()), type: "machine", event, machine: String(body[0]) });
    if (waiting.length > WAITING_LIMIT) missed += waiting.splice(0, waiting.length - WAITING_LIMIT).length;
    wake();
  };
  let isLost = false;
  bus.onClose(() => {
    isLost = true;
    wake();
  });
  await attempt("Failed to subscribe to the signals of systemd-machined", async () => {
    await bus.subscribe({ ...MANAGER, member: "MachineNew" }, enqueue("started"));
    await bus.subscribe({ ...MANAGER, member: "MachineRemoved" }, enqueue("ended"));
  });
  report.info(`${why}: only starts and ends of machines are shown, from now on, and not how they end.`);
  for (;;) {
    while (waiting.length > 0) {
      if (missed > 0) yield { time: Number(ports.nowUsec()), type: "log", event: "missed", count: missed };
      missed = 0;
      const event = waiting.shift() as SeenEvent;
      yield event.event === "started" ? { ...event, ...(await factsOf(session, String(event["machine"]))) } : event;
    }
    if (isLost) throw new Failure(CONNECTION_LOST);
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

/** Queries the fields of an event from the manager; empty if the machine has ended already. */
async function factsOf(session: Session, name: string): Promise<Partial<SeenEvent>> {
  const facts = await orNull(machineFacts(session, name));
  if (facts === null) return {};
  const { class: machineClass, service, unit, leaderPid } = facts;
  return {
    class: machineClass,
    ...(service === "" ? {} : { service }),
    ...(unit === "" ? {} : { unit }),
    ...(leaderPid === 0 ? {} : { leader: leaderPid }),
  };
}
