// What the kernel counts and says about a machine's control group: that it is frozen, that processes were killed for want of
// memory, that a process was not made because there are too many. Files of version 2, which announce their changes by inotify;
// version 1 has none of them.
import { errnoNameOf } from "../../base/error.ts";
import { watchPath } from "../../kernel/event/inotify.ts";
import type { Watch } from "../../kernel/event/poller.ts";
import { cgroupDirectory, cgroupRoot, readAttribute } from "../../kernel/process/cgroup.ts";
import type { EventFacts } from "./log.ts";
import { PacedLook } from "./paced-look.ts";

type Tell = (facts: EventFacts) => void;

/** A file of the group and a line in it, and what its change means. */
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

/** The number behind a key in lines of `key number`; null where there is none. */
export function numberOf(text: string, key: string): number | null {
  for (const line of text.split("\n")) if (line.startsWith(`${key} `)) return Number(line.slice(key.length + 1));
  return null;
}

/** Tells what has changed between two readings of a file. */
export class Reading {
  readonly #watched: Watched;
  readonly #read: () => string;
  readonly #tell: (facts: Omit<EventFacts, "machine">) => void;
  #known: number | null;

  /** `before`: what is known already; what the file says now unless given. */
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

  /** Returns how many events there were. */
  look(): number {
    const [before, now] = [this.#known, this.#number()];
    if (now === null) return 0;
    this.#known = now;
    const events = before === null ? [] : this.#watched.eventsOf(before, now);
    for (const facts of events) this.#tell(facts);
    return events.length;
  }

  /** Null for a file that is gone with its group. */
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
 * Watches the control group of a machine; returns what ends that. Files that are not there are not watched.
 * `wasFrozen`: what was told of it last; null where nothing is known.
 */
export function watchCgroup(machine: string, cgroup: string, tell: Tell, wasFrozen: boolean | null): Disposable {
  const watches = new DisposableStack();
  if (!cgroupRoot().unified || cgroup === "" || cgroup === "/") return watches;
  for (const watched of WATCHED) {
    const { file, key } = watched;
    // The watch is there before the first reading: what changes in between is seen.
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

/** Null where the file is not there, or the host has no watch left. */
function watchFile(path: string, changed: () => void): Watch | null {
  try {
    return watchPath(path, ["modify"], changed);
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return null;
  }
}

export { WATCHED as WATCHED_FILES };
