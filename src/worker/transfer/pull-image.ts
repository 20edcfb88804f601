// The images of a download in the directory of images: kept downloads, whose names are made from the address and the
// tag, copies of them, and the small files beside them. Tar archives become trees, other files disk images.
import { join } from "node:path";
import { errnoNameOf } from "../../base/error.ts";
import { splitLogin } from "../../base/vocabulary/transfer.ts";
import { noteCreated, pathOf, setAttribute } from "../../kernel/file/attributes.ts";
import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { type Fd, openInRoot, openPath, statAt } from "../../kernel/file/fd.ts";
import { changeMode } from "../../kernel/file/ownership.ts";
import { isErrno, SyscallError, unlessErrno } from "../../kernel/syscall/sys.ts";
import { isBtrfs, isSubvolume } from "../../kernel/tree/btrfs.ts";
import { HeldImage, lockImageFile } from "../../registry/image/lock.ts";
import { type CacheNames, cachedTags, cacheStem } from "../download/url.ts";
import { copyInChild } from "../image/copy-tree.ts";
import { installWithSides, type NewSide } from "../image/install-with-sides.ts";
import { exists, type InstallOptions, Stage, type StageLabel } from "../image/stage.ts";
import { copyRaw } from "../image/write-raw.ts";
import { abandonWithUs } from "../program/abandon.ts";
import { log } from "../program/log.ts";
import type { WorkerOptions } from "../program/options.ts";
import { setFileTime } from "../untar/calls.ts";
import type { DirectTarget } from "./pull-direct.ts";

export type PullKind = "tar" | "raw";

export const CACHE: Readonly<Record<PullKind, CacheNames>> = {
  tar: { prefix: ".tar-", suffix: "" },
  raw: { prefix: ".raw-", suffix: ".raw" },
};

/** The size limit of the largest small file: the verity data of a disk image. */
export const SIDE_LIMIT_BYTES = 256 << 20;

/** The limit of the tags of kept downloads in a request. */
const TAGS_LIMIT_BYTES = 4 << 10;

/** A small file beside an image, by its suffix on this host. */
export interface SideFile {
  readonly suffix: string;
  readonly label: StageLabel;
  /** Open for reading; the function that opened it, or its caller, closes it. */
  readonly file: Fd;
}

/** The directory of images during a download. */
export class PullPlace implements Disposable {
  readonly root: Fd;
  readonly path: string;
  readonly url: string;
  readonly kind: PullKind;
  readonly options: WorkerOptions;
  /** The target of a direct download; null for images that get a name in the directory. */
  readonly direct: DirectTarget | null;
  /** The name of the image; null where only the download is kept. */
  readonly local: string | null;
  /** Kept downloads of this address, open and locked, by name. */
  readonly #held = new Map<string, HeldImage>();
  readonly #keptLocks: Disposable[] = [];
  readonly #registration = abandonWithUs(this);

  constructor(root: Fd, place: Pick<PullPlace, "path" | "url" | "kind" | "options" | "direct" | "local">) {
    this.direct = place.direct;
    this.local = place.local;
    this.root = root;
    this.path = place.path;
    this.url = place.url;
    this.kind = place.kind;
    this.options = place.options;
  }

  /** Names of files are public: machinectl lists those of kept downloads to every user. */
  get #shownUrl(): string {
    return splitLogin(this.url).url;
  }

  /** Whether the download is kept beside the image. */
  get isKept(): boolean {
    return this.local === null || (this.options.keepDownload ?? this.options.class === "machine");
  }

  /** Whether the image is made as a copy of the kept download, file by file, and not as a snapshot. */
  get isCopied(): boolean {
    const isSnapshot = this.options.btrfsSubvolume && isBtrfs(this.root);
    return this.direct === null && this.kind === "tar" && this.local !== null && this.isKept && !isSnapshot;
  }

  /**
   * Returns the tags of the latest kept downloads of this address, and locks these, so that they can be copied later.
   */
  tags(): string[] {
    using listing = openPath(`/proc/self/fd/${this.root.number}`, "directory");
    const names = listDirectory(listing).map(({ name }) => name);
    const tags = cachedTags(names, this.#shownUrl, CACHE[this.kind]);
    const changed = new Map(tags.map((tag) => [tag, this.#changedNs(this.stem(tag))]));
    const order = (a: string, b: string) => Number((changed.get(b) ?? 0n) - (changed.get(a) ?? 0n));
    let bytes = 0;
    // Servers refuse requests with long headers, and a download that changes often leaves a tag each time.
    const isShort = (tag: string) => {
      bytes += tag.length + 2;
      return bytes <= TAGS_LIMIT_BYTES;
    };
    return tags.sort(order).filter((tag) => isShort(tag) && this.#hold(this.stem(tag)));
  }

  #changedNs(stem: string): bigint {
    const name = stem + CACHE[this.kind].suffix;
    return unlessErrno(() => statAt(this.root, name, "no-follow").ctimeNs, 0n, "ENOENT", "ENAMETOOLONG");
  }

  /**
   * Opens and locks a kept download. Returns false when it was removed, or is in use by a process that may remove it.
   */
  #hold(stem: string): boolean {
    const name = stem + CACHE[this.kind].suffix;
    if (this.#held.has(name)) return true;
    try {
      this.#held.set(name, this.#open(name));
      return true;
    } catch (error) {
      // The name of a small file beside it can look like that of a kept download.
      if (isErrno(error, "ENOENT", "EBUSY", "ENOTDIR")) return false;
      throw error;
    }
  }

  #open(name: string): HeldImage {
    return HeldImage.open(this.options.locks, this.#pathOf(name), this.kind === "tar" ? "directory" : "read");
  }

  #pathOf(name: string): string {
    return join(pathOf(this.root), name);
  }

  [Symbol.dispose](): void {
    this.#registration.settled();
    for (const held of this.#held.values()) held[Symbol.dispose]();
    for (const lock of this.#keptLocks) lock[Symbol.dispose]();
  }

  /** Returns the name of a kept download, without the suffix of images. */
  stem(etag: string | null): string {
    return cacheStem(this.path, this.#shownUrl, etag, CACHE[this.kind]);
  }

  /**
   * Renames the download to the name under which it is kept, with the small files `sides` beside it, and locks it.
   * Replaces one of the same name; returns false when that is in use, and the download keeps its temporary name.
   */
  keep(stage: Stage, etag: string | null, sides: readonly SideFile[]): Promise<boolean> {
    const target = this.#targetOf(stage, this.stem(etag), "replace");
    return installWithSides(target, copiesOf(sides, "kept"), () => this.#keepAlone(stage, etag));
  }

  #keepAlone(stage: Stage, etag: string | null): boolean {
    const name = this.stem(etag) + CACHE[this.kind].suffix;
    try {
      // Locked before the renaming, which makes it visible.
      this.#keptLocks.push(lockImageFile(this.options.locks, this.#pathOf(name), stage.file, "shared"));
      stage.install(name, { ...this.#install(), force: true, readOnly: true });
      return true;
    } catch (error) {
      if (errnoNameOf(error) !== "EBUSY") throw error;
      log("notice", `'${name}' is in use, not replacing it.`);
      return false;
    }
  }

  /**
   * Makes the image `local` as a copy of the kept download `cached`, with its small files; `secondTree` is such a copy
   * where it is not null.
   */
  async copyToLocal(cached: string, local: string, secondTree: Stage | null, sides: readonly SideFile[]) {
    using stage = secondTree ?? (await this.#copy(cached));
    await this.installLocal(stage, local, sides);
  }

  #install(): InstallOptions {
    const { force, readOnly, sync, locks } = this.options;
    return { force, readOnly, sync, locks };
  }

  /** Renames a complete image to its name, with the small files `sides` beside it. */
  async installLocal(stage: Stage, local: string, sides: readonly SideFile[]): Promise<void> {
    const how = this.options.force ? "replace" : "respect";
    await installWithSides(this.#targetOf(stage, local, how), copiesOf(sides, "local"), () => {
      stage.install(local + CACHE[this.kind].suffix, this.#install());
      return true;
    });
    log("info", `Created new local image '${local}'.`);
  }

  #targetOf({ file: image }: Stage, name: string, how: "replace" | "respect") {
    return { image, root: this.root, name, suffix: CACHE[this.kind].suffix, how, options: this.options };
  }

  async #copy(cached: string): Promise<Stage> {
    const held = this.#held.get(cached) ?? this.#open(cached);
    // Locked until the end of the transfer, also when that is cancelled.
    this.#held.set(cached, held);
    const { fd } = held;
    return this.kind === "tar" ? await this.#copyTree(fd) : await this.#copyFile(fd);
  }

  async #copyTree(source: Fd): Promise<Stage> {
    if (this.options.btrfsSubvolume && isSubvolume(source)) {
      return Stage.snapshot(this.root, "tar", source);
    }
    const stage = Stage.tree(this.root, "tar", this.options.btrfsSubvolume);
    return stage.filledBy((tree) => copyInChild(source, tree, "held"));
  }

  async #copyFile(source: Fd): Promise<Stage> {
    return Stage.file(this.root, "raw", 0o644).filledBy((file) => copyRaw(source, file, () => {}));
  }

  /** Opens the small files beside a kept download; the caller closes them. */
  keptSides(stem: string, rows: readonly Pick<SideFile, "suffix" | "label">[]): SideFile[] {
    return rows.flatMap(({ suffix, label }) => {
      if (!exists(this.root, stem + suffix)) return [];
      return [{ suffix, label, file: openInRoot(this.root, stem + suffix, "read") }];
    });
  }
}

/** Files beside a kept download are read-only, as that is; those beside an image are the administrator's. */
function copiesOf(sides: readonly SideFile[], whose: "kept" | "local"): NewSide[] {
  return sides.map(({ suffix, label, file: source }) => {
    const fill = async (file: Fd) => {
      await copyRaw(source, file, () => {});
      if (whose === "kept") changeMode(file, 0o444);
    };
    return { suffix, label, fill };
  });
}

/** Stores the origin of a file in its attributes, where its file system supports that. */
export function noteOrigin(file: Fd, url: string, etag: string | null, lastModified: string | null): void {
  const time = lastModified === null ? Number.NaN : Date.parse(lastModified);
  try {
    setAttribute(file, "user.source_url", Buffer.from(splitLogin(url).url));
    if (etag !== null) setAttribute(file, "user.source_etag", Buffer.from(etag, "latin1"));
    if (!Number.isNaN(time)) noteCreated(file, BigInt(time) * 1000n);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
  if (!Number.isNaN(time)) setFileTime(file, Math.floor(time / 1000), 0);
}
