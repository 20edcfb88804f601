// Writes a tree as a tar archive with all metadata, sorted by name. Stays on one mount. Omits sockets, which archives
// cannot contain, and logs them; omits entries that are removed meanwhile.
import type { Fd } from "../../kernel/file/fd.ts";
import { isErrno, SyscallError } from "../../kernel/syscall/sys.ts";
import { DirectoryChain, WALK_DEPTH_LIMIT } from "../../kernel/tree/directory-chain.ts";
import { reopenForReading } from "../../kernel/tree/own-file.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import {
  openDirectory,
  openEntry,
  openForReading,
  type RawEntry,
  type RawName,
  textOf,
} from "../../kernel/tree/tree.ts";
import { log } from "../program/log.ts";
import { Listing } from "./listing.ts";
import { type MemberPolicy, MemberWriter } from "./members.ts";

/** How many sockets are logged by name; beyond, only their number is. */
const SOCKETS_NAMED = 20;
/** After how many entries other work can run, where they have not filled a chunk. */
const PAUSE_AFTER = 256;
const NOTHING = Buffer.alloc(0);

/** Which files of a tree are written, and how. */
export interface PackPolicy extends MemberPolicy {
  /** Called for each entry before it is written: returns false to omit it; an error ends the archive. */
  readonly accepts?: (path: RawName, name: RawName, status: RawStatus) => boolean;
}

/**
 * Yields the archive of the directory `top`, in chunks that are not changed afterwards, and empty chunks as pauses. The
 * caller still owns `top`.
 */
export function* tarChunks(top: Fd, policy: PackPolicy = {}): Generator<Buffer> {
  using walk = new TarWalk(top, policy);
  yield* walk.chunks();
}

/**
 * Opens an entry, with O_PATH where it is neither regular nor a directory. Returns null where it was removed or
 * replaced meanwhile.
 */
export function openMember(parent: Fd, { name, kind }: RawEntry, status: RawStatus): Fd | null {
  try {
    const known = kind ?? status.readEntry(parent, name).kind;
    return known === "regular" || known === "directory" ? openForReading(parent, name) : openEntry(parent, name);
  } catch (error) {
    if (isErrno(error, "EACCES")) return openOwn(parent, name);
    if (isErrno(error, "ENOENT", "ELOOP", "ENXIO")) return null;
    throw error;
  }
}

/** Opens a file that is owned by this process's user, but that this user has no permission to read. */
function openOwn(parent: Fd, name: RawName): Fd {
  using named = openEntry(parent, name);
  return reopenForReading(named);
}

class TarWalk implements Disposable {
  readonly #writer: MemberWriter;
  readonly #policy: PackPolicy;
  readonly #chain: DirectoryChain;
  readonly #mountId: bigint;
  #sockets = 0;
  #seen = 0;
  readonly #pending: Listing[] = [];

  constructor(top: Fd, policy: PackPolicy) {
    this.#policy = policy;
    this.#writer = new MemberWriter(policy);
    this.#mountId = this.#writer.status.readFd(top).mountId;
    this.#chain = new DirectoryChain(openDirectory(top, "."), new RawStatus());
  }

  [Symbol.dispose](): void {
    for (const listing of this.#pending) listing[Symbol.dispose]();
    this.#chain[Symbol.dispose]();
    this.#writer[Symbol.dispose]();
  }

  *chunks(): Generator<Buffer> {
    const pending = this.#pending;
    pending.push(new Listing(this.#chain.current, this.#directoryPath));
    yield* this.#writer.directory(this.#chain.current, "./");
    for (;;) {
      const entry = pending.at(-1)?.next();
      if (entry !== undefined) {
        if (yield* this.#entry(entry)) pending.push(new Listing(this.#chain.current, this.#directoryPath));
        // Millions of entries may be left out.
        if (++this.#seen % PAUSE_AFTER === 0) yield NOTHING;
        continue;
      }
      if (this.#chain.depth === 0) break;
      this.#chain.leave();
      pending.pop()?.[Symbol.dispose]();
    }
    if (this.#sockets > SOCKETS_NAMED)
      log("warning", `${this.#sockets} sockets are left out: an archive cannot contain sockets.`);
    yield* this.#writer.end();
  }

  get #directoryPath(): RawName {
    return `./${this.#chain.path.join("/")}`;
  }

  #pathOf(name: RawName): RawName {
    return [this.#directoryPath, name].join(this.#chain.depth === 0 ? "" : "/");
  }

  /** Writes one entry; returns true for a directory, which the chain has then entered. */
  *#entry(entry: RawEntry): Generator<Buffer, boolean> {
    const { name } = entry;
    const opened = openMember(this.#chain.current, entry, this.#writer.status);
    if (opened === null) return false;
    using owner = new DisposableStack();
    const file = owner.use(opened);
    const path = this.#pathOf(name);
    const { kind: found, mountId, identity } = this.#writer.status.readFd(file);
    if (this.#policy.accepts?.(path, name, this.#writer.status) === false) return false;
    if (found === "directory" && mountId === this.#mountId) {
      if (this.#chain.depth >= WALK_DEPTH_LIMIT) throw new SyscallError("open", "ENAMETOOLONG", textOf(name));
      yield* this.#writer.directory(file, `${path}/`);
      this.#chain.enter(name, file, identity);
      owner.move();
      return true;
    }
    if (found === "directory") yield* this.#writer.directory(file, `${path}/`);
    else if (MemberWriter.canHold(found)) yield* this.#writer.file(file, path);
    else this.#noteSocket(path);
    return false;
  }

  #noteSocket(path: RawName): void {
    if (++this.#sockets <= SOCKETS_NAMED)
      log("warning", `Socket '${textOf(path)}' is left out: an archive cannot contain sockets.`);
  }
}
