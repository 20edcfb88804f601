// Writes the difference between two trees as an archive that turns the first into the second, in the form of a layer of
// a container image: new and changed files with their parent directories, and `.wh.NAME` for removed ones ("whiteouts"
// of the OCI image specification). Files with several names are always written, so that their names stay linked.
// Callers pass snapshots where the file system supports them, so that the trees do not change meanwhile.
import type { Fd } from "../../kernel/file/fd.ts";
import { SyscallError, unlessErrno } from "../../kernel/syscall/sys.ts";
import { DirectoryChain, WALK_DEPTH_LIMIT } from "../../kernel/tree/directory-chain.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { openDirectory, type RawEntry, type RawName, textOf } from "../../kernel/tree/tree.ts";
import { hasSameContent, isSameMember } from "./compare.ts";
import { Listing } from "./listing.ts";
import { MemberWriter } from "./members.ts";
import { namingFile } from "./naming-file.ts";
import { openMember, type PackPolicy } from "./pack.ts";

/** The prefix of a whiteout, and the name of an opaque whiteout, which removes the whole content of its directory. */
const WHITEOUT = ".wh.";
const OPAQUE_WHITEOUT = ".wh..wh..opq";
/** The limit of headers of directories that wait for a difference in them; beyond it they are written without one. */
const WAITING_LIMIT_BYTES = 4 << 20;
const NOTHING = Buffer.alloc(0);

/**
 * Yields the archive that turns `base` into `tree`, in chunks that are not changed afterwards, and empty chunks between
 * equal files.
 */
export function* differenceChunks(base: Fd, tree: Fd, policy: PackPolicy): Generator<Buffer> {
  using walk = new DifferenceWalk(base, tree, policy);
  yield* walk.chunks();
}

class DifferenceWalk implements Disposable {
  readonly #policy: PackPolicy;
  readonly #writer: MemberWriter;
  readonly #chain: DirectoryChain;
  readonly #mountId: bigint;
  readonly #baseMountId: bigint;
  readonly #baseStatus = new RawStatus();
  /** The same directories in the base, as far as it has them: then it is as deep as the other chain. */
  readonly #baseChain: DirectoryChain;
  readonly #pending: Listing[] = [];
  /** The header of each directory of the chain; null once it is written. */
  readonly #waiting: (Buffer | null)[] = [];
  #waitingBytes = 0;

  constructor(base: Fd, tree: Fd, policy: PackPolicy) {
    this.#policy = policy;
    this.#writer = new MemberWriter(policy);
    this.#baseMountId = this.#baseStatus.readFd(base).mountId;
    this.#mountId = this.#writer.status.readFd(tree).mountId;
    using owner = new DisposableStack();
    this.#baseChain = owner.use(new DirectoryChain(openDirectory(base, "."), new RawStatus()));
    this.#chain = new DirectoryChain(openDirectory(tree, "."), new RawStatus());
    owner.move();
  }

  [Symbol.dispose](): void {
    for (const listing of this.#pending) listing[Symbol.dispose]();
    this.#chain[Symbol.dispose]();
    this.#baseChain[Symbol.dispose]();
    this.#writer[Symbol.dispose]();
  }

  *chunks(): Generator<Buffer> {
    yield* this.#writer.directory(this.#chain.current, "./");
    this.#waiting.push(null);
    yield* this.#begin();
    for (;;) {
      const entry = this.#pending.at(-1)?.next();
      if (entry !== undefined) {
        if (yield* this.#entry(entry)) yield* this.#begin();
        yield NOTHING;
        continue;
      }
      if (this.#chain.depth === 0) break;
      this.#leave();
    }
    yield* this.#writer.end();
  }

  /** The current directory in the base; null where it has none. */
  get #baseDirectory(): Fd | null {
    return this.#baseChain.depth === this.#chain.depth ? this.#baseChain.current : null;
  }

  get #directoryPath(): RawName {
    return `./${this.#chain.path.join("/")}`;
  }

  #pathOf(name: RawName): RawName {
    return [this.#directoryPath, name].join(this.#chain.depth === 0 ? "" : "/");
  }

  /** Begins the current directory: writes whiteouts for its removed entries first. */
  *#begin(): Generator<Buffer> {
    this.#pending.push(new Listing(this.#chain.current, this.#directoryPath));
    const base = this.#baseDirectory;
    if (base === null) return;
    using listing = new Listing(base, this.#directoryPath);
    for (let entry = listing.next(); entry !== undefined; entry = listing.next()) {
      if (!this.#isThere(entry.name) && this.#isMember(base, entry)) yield* this.#writeWhiteout(entry.name);
      yield NOTHING;
    }
  }

  #leave(): void {
    if (this.#baseDirectory !== null) this.#baseChain.leave();
    this.#chain.leave();
    this.#pending.pop()?.[Symbol.dispose]();
    this.#waitingBytes -= this.#waiting.pop()?.length ?? 0;
  }

  #isThere(name: RawName): boolean {
    return unlessErrno(() => this.#writer.status.readEntry(this.#chain.current, name), null, "ENOENT") !== null;
  }

  /**
   * Whether the base's layer contains an entry: sockets, and whiteouts of overlayfs (device 0:0), cannot be in a layer.
   */
  #isMember(base: Fd, { name }: RawEntry): boolean {
    const status = this.#baseStatus.readEntry(base, name);
    return MemberWriter.canHold(status.kind) && !(status.kind === "character" && status.deviceNumber === 0);
  }

  *#writeWhiteout(name: RawName): Generator<Buffer> {
    yield* this.#writeDirectories();
    yield* this.#writer.marker(this.#pathOf(WHITEOUT + name));
  }

  /** Writes the waiting headers of the directories of the chain. */
  *#writeDirectories(): Generator<Buffer> {
    if (this.#waitingBytes === 0) return;
    for (const [depth, header] of this.#waiting.entries()) {
      if (header === null) continue;
      this.#waiting[depth] = null;
      this.#waitingBytes -= header.length;
      yield* this.#writer.put(header);
    }
  }

  /** Writes one entry where it differs; returns true for a directory, which the chain has then entered. */
  *#entry(entry: RawEntry): Generator<Buffer, boolean> {
    const { name } = entry;
    const opened = openMember(this.#chain.current, entry, this.#writer.status);
    if (opened === null) return yield* this.#missing(name);
    using owner = new DisposableStack();
    const file = owner.use(opened);
    const path = this.#pathOf(name);
    const { kind, mountId } = this.#writer.status.readFd(file);
    const isAccepted = this.#policy.accepts?.(path, name, this.#writer.status) ?? true;
    if (!isAccepted || !MemberWriter.canHold(kind)) return yield* this.#missing(name);
    using base = this.#openBase(name);
    if (kind !== "directory") {
      if (base === null || !(yield* this.#isSame(file, base, path))) yield* this.#changed(file, path);
      return false;
    }
    if (mountId !== this.#mountId) {
      yield* this.#mountPoint(file, path, base);
      return false;
    }
    if (this.#chain.depth >= WALK_DEPTH_LIMIT) throw new SyscallError("open", "ENAMETOOLONG", textOf(name));
    yield* this.#enter(name, file, base);
    owner.move();
    return true;
  }

  /** Writes a whiteout for an entry that is not in this tree, where the base has it. */
  *#missing(name: RawName): Generator<Buffer, false> {
    const base = this.#openBase(name);
    base?.close();
    if (base !== null) yield* this.#writeWhiteout(name);
    return false;
  }

  /**
   * Opens the entry of the same name in the base, with its status in `#baseStatus`; returns null where its layer has
   * none.
   */
  #openBase(name: RawName): Fd | null {
    const base = this.#baseDirectory;
    if (base === null) return null;
    const status = unlessErrno(() => this.#baseStatus.readEntry(base, name), null, "ENOENT");
    if (status === null) return null;
    const { kind } = status;
    if (!this.#isMember(base, { name, kind: null })) return null;
    const file = openMember(base, { name, kind }, this.#baseStatus);
    if (file === null) return null;
    try {
      this.#baseStatus.readFd(file);
      return file;
    } catch (error) {
      file.close();
      throw error;
    }
  }

  *#isSame(file: Fd, base: Fd, path: RawName): Generator<Buffer, boolean> {
    const [a, b] = [
      { file, status: this.#writer.status },
      { file: base, status: this.#baseStatus },
    ];
    if (!namingFile(path, () => isSameMember(a, b, this.#policy))) return false;
    const { kind, size } = this.#writer.status;
    return kind !== "regular" || (yield* hasSameContent(file, base, size, path));
  }

  *#changed(file: Fd, path: RawName): Generator<Buffer> {
    yield* this.#writeDirectories();
    yield* this.#writer.file(file, path);
  }

  /** Writes a directory that is a mount point, as empty: archives do not contain what is mounted. */
  *#mountPoint(file: Fd, path: RawName, base: Fd | null): Generator<Buffer> {
    yield* this.#writeDirectories();
    yield* this.#writer.directory(file, `${path}/`);
    if (base !== null) yield* this.#writer.marker(`${path}/${OPAQUE_WHITEOUT}`);
  }

  /** Enters a directory, whose header waits for a difference; the chains take ownership of the descriptors. */
  *#enter(name: RawName, file: Fd, base: Fd | null): Generator<Buffer> {
    const isBaseDirectory = base !== null && this.#baseStatus.kind === "directory";
    // Programs differ in whether a directory replaces a link of the base, so a whiteout removes the link first.
    if (base !== null && !isBaseDirectory) yield* this.#writeWhiteout(name);
    const { identity } = this.#writer.status;
    const path = this.#pathOf(name);
    const [own, others] = [this.#writer.status, this.#baseStatus];
    const isSame =
      isBaseDirectory &&
      namingFile(path, () => isSameMember({ file, status: own }, { file: base, status: others }, this.#policy));
    const header = this.#writer.directoryHeader(file, `${path}/`);
    this.#waiting.push(header);
    this.#waitingBytes += header.length;
    if (!isSame || this.#waitingBytes > WAITING_LIMIT_BYTES) yield* this.#writeDirectories();
    if (isBaseDirectory && this.#baseStatus.mountId === this.#baseMountId) {
      this.#baseChain.enter(name, openDirectory(base, "."), this.#baseStatus.identity);
    }
    this.#chain.enter(name, file, identity);
  }
}
