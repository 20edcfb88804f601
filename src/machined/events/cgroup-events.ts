// Events about a machine's control group: it is frozen, processes were killed for lack of memory, a process was not
// created because there are too many. They are read from files of version 2, whose changes inotify reports; version 1
// has no such files.
import { errnoNameOf } from "../../base/error.ts";
import { cgroupDirectory, cgroupRoot, readAttribute } from "../../kernel/cgroup/cgroup.ts";
import { type PathListener, watchPath } from "../../kernel/event/inotify.ts";
import type { Watch } from "../../kernel/event/poller.ts";
import type { EventFacts } from "./log.ts";
import { PacedLook } from "./paced-look.ts";

type Tell = (facts: EventFacts) => void;

/** After a file that cannot be read, the pause is as long as after so many events. */
const FAILURE_EVENTS = 40;

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

/** Where the files of a machine's group are read, and its events are logged. */
interface Group {
  read(file: string): string;
  tell(facts: Omit<EventFacts, "machine">): void;
}

/** Logs the differences between two readings of a file. */
export class Reading {
  readonly #watched: Watched;
  readonly #group: Group;
  #known: number | null;
  /** Whether the file could not be read the last time, though it is there: it must be read again. */
  hasFailed = false;

  /** `before`: the value that was logged last; the present one unless given. */
  constructor(watched: Watched, group: Group, before?: number) {
    this.#watched = watched;
    this.#group = group;
    this.#known = before ?? this.#number();
  }

  /** Reads the file and logs its changes; returns the number of events. */
  look(): number {
    const [before, now] = [this.#known, this.#number()];
    if (now === null) return this.hasFailed ? FAILURE_EVENTS : 0;
    this.#known = now;
    const events = before === null ? [] : this.#watched.eventsOf(before, now);
    for (const facts of events) this.#group.tell(facts);
    return events.length;
  }

  /** Returns null for a file that was removed with its group, and for one that cannot be read now. */
  #number(): number | null {
    this.hasFailed = false;
    try {
      return numberOf(this.#group.read(this.#watched.file), this.#watched.key);
    } catch (error) {
      const errno = errnoNameOf(error);
      if (errno === null) throw error;
      this.hasFailed = errno !== "ENOENT" && errno !== "ENODEV";
      return null;
    }
  }
}

class MachineGroup implements Group {
  readonly #machine: string;
  readonly #cgroup: string;
  readonly #tell: Tell;

  constructor(machine: string, cgroup: string, tell: Tell) {
    this.#machine = machine;
    this.#cgroup = cgroup;
    this.#tell = tell;
  }

  pathOf(file: string): string {
    return `${cgroupDirectory(this.#cgroup)}/${file}`;
  }

  read(file: string): string {
    return readAttribute(this.#cgroup, file);
  }

  tell(facts: Omit<EventFacts, "machine">): void {
    this.#tell({ ...facts, machine: this.#machine });
  }
}

/** Reads a file again whenever it changes. */
class FileWatch implements PathListener, Disposable {
  readonly #watch: Watch;
  readonly #reading: Reading;
  readonly #paced: PacedLook;

  constructor(watched: Watched, group: MachineGroup, before?: number) {
    // The watch is set before the first reading, so that changes in between are noticed.
    this.#watch = watchPath(group.pathOf(watched.file), ["modify"], this);
    this.#reading = new Reading(watched, group, before);
    this.#paced = new PacedLook(this);
    // Otherwise it has just been read: there are three files for each machine, and each look takes a timer.
    if (before !== undefined || this.#reading.hasFailed) this.#paced.changed();
  }

  happened(): void {
    this.#paced.changed();
  }

  look(): number {
    const events = this.#reading.look();
    if (this.#reading.hasFailed) this.#paced.changed();
    return events;
  }

  [Symbol.dispose](): void {
    this.#watch.stop();
    this.#paced[Symbol.dispose]();
  }
}

/**
 * Watches the control group of a machine; returns one watch for each file, which the caller ends. Missing files are not
 * watched. `wasFrozen`: the state that was logged last; null where none is known.
 */
export function watchCgroup(machine: string, cgroup: string, tell: Tell, wasFrozen: boolean | null): Disposable[] {
  // Without a group, there may be no hierarchy either.
  if (cgroup === "" || cgroup === "/" || !cgroupRoot().unified) return [];
  const group = new MachineGroup(machine, cgroup, tell);
  return WATCHED.flatMap((watched) => {
    const before = wasFrozen !== null && watched.key === "frozen" ? Number(wasFrozen) : undefined;
    return watchFile(watched, group, before) ?? [];
  });
}

/** Returns null where the file is missing, or the host allows no further watch. */
function watchFile(watched: Watched, group: MachineGroup, before?: number): Disposable | null {
  try {
    return new FileWatch(watched, group, before);
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return null;
  }
}

export { WATCHED as WATCHED_FILES };
