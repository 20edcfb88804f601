// Events about a machine's control group: it is frozen, processes were killed for lack of memory, a process was not
// created because there are too many. They are read from files of version 2, whose changes inotify reports; version 1
// has no such files.
import { errnoNameOf } from "../../base/error.ts";
import { cgroupDirectory, cgroupRoot, readAttribute } from "../../kernel/cgroup/cgroup.ts";
import { watchPath } from "../../kernel/event/inotify.ts";
import type { Watch } from "../../kernel/event/poller.ts";
import type { EventFacts } from "./log.ts";
import { PacedLook } from "./paced-look.ts";

type Tell = (facts: EventFacts) => void;

/** A line in a file of the group, and the event that its change means. */
interface Watched {
  readonly file: string;
  readonly key: string;
  readonly eventsOf: (before: number, now: number) => readonly Omit<EventFacts, "machine">[];
}

const WATCHED: readonly Watched[] = [
  {
    ...{ file: "cgroup.events", key: "frozen" },
    eventsOf: (before, now) => (now === before ? [] : [{ type: "machine", event: now === 1 ? "paused" : "resumed" }]),
  },
  { file: "memory.events", key: "oom_kill", eventsOf: (before, now) => counted("oom", now - before) },
  { file: "pids.events", key: "max", eventsOf: (before, now) => counted("pids-limit", now - before) },
];

function counted(event: "oom" | "pids-limit", count: number): Omit<EventFacts, "machine">[] {
  return count > 0 ? [{ type: "resource", event, count }] : [];
}

/** Returns the number of a key in lines of `key number`; null where there is none. */
export function numberOf(text: string, key: string): number | null {
  for (const line of text.split("\n")) if (line.startsWith(`${key} `)) return Number(line.slice(key.length + 1));
  return null;
}

/** Logs the differences between two readings of a file. */
export class Reading {
  readonly #watched: Watched;
  readonly #read: () => string;
  readonly #tell: (facts: Omit<EventFacts, "machine">) => void;
  #known: number | null;

  /** `before`: the values that were logged last; the present ones unless given. */
  constructor(
    watched: Watched,
    read: () => string,
    tell: (facts: Omit<EventFacts, "machine">) => void,
    before?: number,
  ) {
    this.#watched = watched;
    this.#read = read;
    this.#tell = tell;
    this.#known = before ?? this.#number();
  }

  /** Reads the file and logs its changes; returns the number of events. */
  look(): number {
    const [before, now] = [this.#known, this.#number()];
    if (now === null) return 0;
    this.#known = now;
    const events = before === null ? [] : this.#watched.eventsOf(before, now);
    for (const facts of events) this.#tell(facts);
    return events.length;
  }

  /** Returns null for a file that was removed with its group. */
  #number(): number | null {
    try {
      return numberOf(this.#read(), this.#watched.key);
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      return null;
    }
  }
}

/**
 * Watches the control group of a machine; returns a function that ends this. Missing files are not watched.
 * `wasFrozen`: the state that was logged last; null where none is known.
 */
export function watchCgroup(machine: string, cgroup: string, tell: Tell, wasFrozen: boolean | null): Disposable {
  const watches = new DisposableStack();
  if (!cgroupRoot().unified || cgroup === "" || cgroup === "/") return watches;
  for (const watched of WATCHED) {
    const { file, key } = watched;
    // The watch is set before the first reading, so that changes in between are noticed.
    let known: Reading | null = null;
    const paced = new PacedLook(() => known?.look() ?? 0);
    const watch = watchFile(`${cgroupDirectory(cgroup)}/${file}`, paced.changed);
    if (watch === null) continue;
    watches.use(watch);
    watches.use(paced);
    known = new Reading(
      watched,
      () => readAttribute(cgroup, file),
      (facts) => tell({ ...facts, machine }),
      wasFrozen !== null && key === "frozen" ? Number(wasFrozen) : undefined,
    );
    paced.changed();
  }
  return watches;
}

/** Returns null where the file is missing, or the host allows no further watch. */
function watchFile(path: string, changed: () => void): Watch | null {
  try {
    return watchPath(path, ["modify"], changed);
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return null;
  }
}

export { WATCHED as WATCHED_FILES };
