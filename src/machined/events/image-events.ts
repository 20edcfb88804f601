// Events about images that are added, removed and changed: inotify reports changes of the search directories, and the
// difference to the last list of images is logged. Some operations of the daemon change no directory (a read-only
// subvolume, a limit): the images are listed again after each operation.
import { dirname } from "node:path";
import { errnoNameOf } from "../../base/error.ts";
import { type PathEventKind, watchPath } from "../../kernel/event/inotify.ts";
import type { Watch } from "../../kernel/event/poller.ts";
import type { Image } from "../../registry/image/image.ts";
import type { Log } from "../../registry/ports.ts";
import type { EventFacts } from "./log.ts";
import { PacedLook } from "./paced-look.ts";

/** The part of the images that is used here. */
interface Searched {
  readonly layout: { readonly searchPath: readonly string[] };
  list(): readonly Image[];
}

/** The facts of an image whose changes are logged. */
interface Known {
  readonly identity: string;
  readonly path: string;
  readonly type: Image["type"];
  readonly isReadOnly: boolean;
  readonly limit: bigint;
}

const IN_DIRECTORY: readonly PathEventKind[] = ["create", "delete", "moved-from", "moved-to", "attrib", "delete-self"];
const ABOVE_DIRECTORY: readonly PathEventKind[] = ["create", "moved-to"];
/** The delay before a listing: changes come in groups, as when a directory is made and then filled. */
const PACE = { pauseMs: 250, perEventMs: 1 };
/** After images that cannot be listed, or directories that cannot be watched, the pause is as long as after so many. */
const FAILURE_EVENTS = 10_000;

export class ImageEvents {
  readonly #images: Searched;
  readonly #log: Log;
  readonly #tell: (facts: EventFacts) => void;
  readonly #look = new PacedLook({ look: () => this.#compare() }, PACE);
  readonly #watches = new Map<string, Watch>();
  /** Null before the first listing. */
  #known: ReadonlyMap<string, Known> | null = null;
  #isOpen = false;

  constructor(images: Searched, log: Log, tell: (facts: EventFacts) => void) {
    this.#images = images;
    this.#log = log;
    this.#tell = tell;
  }

  /** Begins; the present images are not logged. */
  open(): void {
    this.#isOpen = true;
    this.#compare();
  }

  /** Requests a new listing: something may have changed. */
  changed(): void {
    if (this.#isOpen) this.#look.changed();
  }

  close(): void {
    this.#isOpen = false;
    this.#look[Symbol.dispose]();
    for (const watch of this.#watches.values()) watch.stop();
    this.#watches.clear();
  }

  #compare(): number {
    // A directory may have been made, or mounted over, since the last listing.
    const areWatched = this.#watchAll();
    const [before, now] = [this.#known, this.#read()];
    // A failed listing is repeated, and so is one after which changes would not be noticed.
    if (now === null || !areWatched) this.changed();
    if (now === null) return FAILURE_EVENTS;
    this.#known = now;
    const events = before === null ? [] : differences(before, now);
    for (const facts of events) this.#tell(facts);
    return areWatched ? events.length : FAILURE_EVENTS;
  }

  /** Returns null where the images cannot be listed at the moment. */
  #read(): ReadonlyMap<string, Known> | null {
    try {
      const images = this.#images.list().filter((image) => !image.isHidden && !image.isHost);
      return new Map(images.map((image) => [image.name, knownOf(image)]));
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.#log.debug(`Cannot look for images: ${(error as Error).message}`);
      return null;
    }
  }

  /** Returns false where a directory cannot be watched now: no descriptor or no further watch is free. */
  #watchAll(): boolean {
    let areWatched = true;
    for (const path of this.#images.layout.searchPath) {
      const watch = this.#watch(path);
      this.#watches.get(path)?.stop();
      if (watch === null || watch === "failed") this.#watches.delete(path);
      else this.#watches.set(path, watch);
      if (watch === "failed") areWatched = false;
    }
    return areWatched;
  }

  /** Watches the directory; where it is missing, its parent for its creation. */
  #watch(path: string): Watch | "failed" | null {
    const name = path.slice(path.lastIndexOf("/") + 1);
    return (
      watchIfThere(path, IN_DIRECTORY, (entry) => {
        if (!isHiddenName(entry)) this.changed();
      }) ??
      watchIfThere(dirname(path), ABOVE_DIRECTORY, (made) => {
        if (made === name) this.changed();
      })
    );
  }
}

/**
 * Whether an entry is no image that is logged: a lock file, which also each reading of an image's metadata makes and
 * removes, or a temporary file, whose renaming to the image's name is an event of its own.
 */
function isHiddenName(entry: string | null): boolean {
  return entry?.startsWith(".") ?? false;
}

/** Returns null for a missing directory. */
function watchIfThere(
  path: string,
  kinds: readonly PathEventKind[],
  happened: (name: string | null) => void,
): Watch | "failed" | null {
  try {
    return watchPath(path, kinds, ({ name }) => happened(name));
  } catch (error) {
    const errno = errnoNameOf(error);
    if (errno === null) throw error;
    return errno === "ENOENT" || errno === "ENOTDIR" ? null : "failed";
  }
}

function knownOf({ path, type, isReadOnly, facts }: Image): Known {
  return { path, type, isReadOnly, identity: facts.identity, limit: facts.space.limit };
}

function eventOf(event: string, image: string, { path, type, isReadOnly }: Known): EventFacts {
  return { type: "image", event, image, imageType: type, path, readOnly: isReadOnly };
}

function differences(before: ReadonlyMap<string, Known>, now: ReadonlyMap<string, Known>): EventFacts[] {
  const gone = [...before].filter(([name]) => !now.has(name)).map(([name, known]) => eventOf("removed", name, known));
  const come = [...now].flatMap(([name, known]) => {
    const old = before.get(name);
    if (old === undefined) return [eventOf("added", name, known)];
    const isSame = (Object.keys(known) as (keyof Known)[]).every((key) => known[key] === old[key]);
    return isSame ? [] : [eventOf("changed", name, known)];
  });
  return [...gone, ...come];
}
