// File changes as callbacks, by one inotify(7) instance for the whole process, which is open while there are watches.
import { Fd } from "../file/fd.ts";
import { EAGAIN, O_CLOEXEC, O_NONBLOCK } from "../syscall/constants.ts";
import { pinForever, scratchString } from "../syscall/mem.ts";
import { check, SyscallError, sys, trySys } from "../syscall/sys.ts";
import { type Watch, watch } from "./poller.ts";

const MASKS = {
  modify: 0x2,
  attrib: 0x4,
  "close-write": 0x8,
  "moved-from": 0x40,
  "moved-to": 0x80,
  create: 0x100,
  delete: 0x200,
  "delete-self": 0x400,
  "move-self": 0x800,
} as const;

/** The events that can be watched. */
export type PathEventKind = keyof typeof MASKS;

export interface PathEvent {
  /** The name of the entry, where a directory is watched and the event is about an entry of it; else null. */
  readonly name: string | null;
  /**
   * `overflow`: events were lost, so check the file again. `gone`: the file was removed or unmounted; no event follows.
   */
  readonly kinds: ReadonlySet<PathEventKind | "overflow" | "gone">;
}

/** An object that is told of events; for thousands of files, a function for each of them takes more memory. */
export interface PathListener {
  happened(event: PathEvent): void;
}

type Callback = (event: PathEvent) => void;

const IN_MASK_ADD = 0x20000000;
const IN_UNMOUNT = 0x2000;
const IN_Q_OVERFLOW = 0x4000;
const IN_IGNORED = 0x8000;

/**
 * Watches by watch descriptor. Watches of the same file share a descriptor and the kernel's mask; there is an array of
 * them only where there are several.
 */
const watches = new Map<number, PathWatch | readonly PathWatch[]>();
let instance: { readonly fd: Fd; readonly watch: Watch } | null = null;
// struct inotify_event { 0 int wd; 4 u32 mask; 8 u32 cookie; 12 u32 len; 16 char name[]; }
const HEADER = 16;
const buffer = pinForever(64 * 1024);

/**
 * Tells `listener` of each of `events` on `path`, or on an entry of it where it is a directory; also of `overflow`
 * and `gone`. Follows a symbolic link. Returns the watch; throws `ENOENT` for a missing file, `ENOSPC` at the limit of
 * watches.
 */
export function watchPath(path: string, events: readonly PathEventKind[], listener: Callback | PathListener): Watch {
  const mask = events.reduce((all, event) => all | MASKS[event], 0);
  if (mask === 0) throw new SyscallError("inotify_add_watch", "EINVAL", path);
  const { fd } = open();
  const result = trySys("inotify_add_watch", fd.number, scratchString(path), mask | IN_MASK_ADD);
  if (result < 0) closeIfIdle();
  const number = check(result, "inotify_add_watch", path);
  const made = new PathWatch(number, mask, listener);
  watches.set(number, watches.has(number) ? [...watchesOf(number), made] : made);
  return made;
}

function watchesOf(number: number): readonly PathWatch[] {
  return [watches.get(number) ?? []].flat();
}

/** A class instead of closures, because there are several for each machine. */
class PathWatch implements Watch {
  readonly mask: number;
  readonly #listener: Callback | PathListener;
  readonly #number: number;

  constructor(number: number, mask: number, listener: Callback | PathListener) {
    this.#number = number;
    this.mask = mask;
    this.#listener = listener;
  }

  tell(event: PathEvent): void {
    if (typeof this.#listener === "function") this.#listener(event);
    else this.#listener.happened(event);
  }

  stop(): void {
    remove(this.#number, this);
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

function open() {
  if (instance === null) {
    using owner = new DisposableStack();
    const fd = owner.use(Fd.adopt(sys("inotify_init1", O_NONBLOCK | O_CLOEXEC)));
    instance = { fd, watch: watch(fd, { read: true }, () => readEvents(fd)) };
    owner.move();
  }
  return instance;
}

/** Removes a watch. The kernel's mask stays as it is while others watch the file: deliver() drops unwanted events. */
function remove(number: number, watch: PathWatch): void {
  const shared = watchesOf(number);
  if (!shared.includes(watch)) return;
  if (shared.length > 1) {
    const others = shared.filter((other) => other !== watch);
    watches.set(number, others);
    return;
  }
  watches.delete(number);
  if (instance !== null) trySys("inotify_rm_watch", instance.fd.number, number);
  closeIfIdle();
}

function closeIfIdle(): void {
  if (watches.size > 0 || instance === null) return;
  instance.fd.close();
  instance = null;
}

function readEvents(fd: Fd): void {
  while (fd.isOpen) {
    const size = trySys("read", fd.number, buffer, buffer.size);
    if (size === EAGAIN) return;
    check(size, "read");
    for (const { number, mask, name } of parse(size)) deliver(number, mask, name);
  }
}

/** Returns all events of the buffer, before the first callback, which may overwrite it by the next read. */
function parse(size: number) {
  const events: { number: number; mask: number; name: string | null }[] = [];
  const { view, bytes } = buffer;
  for (let at = 0; at + HEADER <= size; at += HEADER + view.getUint32(at + 12, true)) {
    const length = view.getUint32(at + 12, true);
    const end = bytes.indexOf(0, at + HEADER);
    const name = length === 0 ? null : bytes.toString("utf8", at + HEADER, end);
    events.push({ number: view.getInt32(at, true), mask: view.getUint32(at + 4, true), name });
  }
  return events;
}

function deliver(number: number, mask: number, name: string | null): void {
  if ((mask & IN_Q_OVERFLOW) !== 0) {
    notify([...watches.values()].flat(), { name: null, kinds: new Set(["overflow"]) });
    return;
  }
  const shared = watchesOf(number);
  if (shared.length === 0) return;
  if ((mask & (IN_IGNORED | IN_UNMOUNT)) !== 0) {
    watches.delete(number);
    notify(shared, { name: null, kinds: new Set(["gone"]) });
    closeIfIdle();
    return;
  }
  const kinds = (Object.keys(MASKS) as PathEventKind[]).filter((kind) => (mask & MASKS[kind]) !== 0);
  const interested = shared.filter((watch) => (watch.mask & mask) !== 0);
  notify(interested, { name, kinds: new Set(kinds) });
}

/** Tells all of them; reports an error of one as uncaught, and continues. */
function notify(interested: readonly PathWatch[], event: PathEvent): void {
  for (const watch of interested) {
    try {
      watch.tell(event);
    } catch (error) {
      reportError(error);
    }
  }
}
