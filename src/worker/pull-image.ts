// What happens to a download: it is unpacked while it comes, verified, kept under a name made of its address, and copied
// to the name that was asked for. Tar archives become trees, everything else disk images.
import { writeFileSync } from "node:fs";
import { isBtrfs, isSubvolume, snapshotSubvolume } from "../kernel/btrfs.ts";
import { listDirectory } from "../kernel/directory-entry.ts";
import { type Fd, openAt, openPath, readFileIn } from "../kernel/fd.ts";
import { noteCreated, setAttribute } from "../kernel/file-attributes.ts";
import { SyscallError } from "../kernel/sys.ts";
import { openDirectory } from "../kernel/tree.ts";
import { copyInChild } from "./import-copy.ts";
import { log } from "./import-log.ts";
import type { WorkerOptions } from "./import-options.ts";
import { copyRaw } from "./import-raw.ts";
import { exists, type InstallOptions, Stage, type StageLabel } from "./install-image.ts";
import type { DirectTarget } from "./pull-direct.ts";
import { type CacheNames, cachedTags, cacheStem } from "./pull-url.ts";
import { changeMode, setFileTime } from "./untar-calls.ts";

export type PullKind = "tar" | "raw";

export const CACHE: Readonly<Record<PullKind, CacheNames>> = {
  tar: { prefix: ".tar-", suffix: "" },
  raw: { prefix: ".raw-", suffix: ".raw" },
};

/** The largest of them: integrity data of a disk image. */
export const SIDE_LIMIT_BYTES = 256 << 20;

/** A small file that goes with an image, by the ending it has here. */
export interface SideFile {
  readonly suffix: string;
  readonly label: StageLabel;
  readonly content: Buffer;
}

/** The directory of images during a download. */
export class PullPlace {
  readonly root: Fd;
  readonly path: string;
  readonly url: string;
  readonly kind: PullKind;
  readonly options: WorkerOptions;
  /** Null for images that get a name in the directory. */
  readonly direct: DirectTarget | null;
  /** The name of the image; null when nothing but the download is wanted. */
  readonly local: string | null;

  constructor(root: Fd, place: Pick<PullPlace, "path" | "url" | "kind" | "options" | "direct" | "local">) {
    this.direct = place.direct;
    this.local = place.local;
    this.root = root;
    this.path = place.path;
    this.url = place.url;
    this.kind = place.kind;
    this.options = place.options;
  }

  /** Whether the download itself is kept, and not only the image that is made of it. */
  get isKept(): boolean {
    return this.local === null || (this.options.keepDownload ?? this.options.class === "machine");
  }

  /** Whether the image becomes a copy of what is kept, file by file. */
  get isCopied(): boolean {
    const isSnapshot = this.options.btrfsSubvolume && isBtrfs(this.root);
    return this.direct === null && this.kind === "tar" && this.local !== null && this.isKept && !isSnapshot;
  }

  /** The tags of what is kept of this address. */
  tags(): string[] {
    using listing = openPath(`/proc/self/fd/${this.root.number}`, "directory");
    const names = listDirectory(listing).map(({ name }) => name);
    return cachedTags(names, this.url, CACHE[this.kind]);
  }

  /** The name a download is kept under, without the ending of images. */
  stem(etag: string | null): string {
    return cacheStem(this.path, this.url, etag, CACHE[this.kind]);
  }

  /** Gives the download the name it is kept under. One of the same name gives way: nothing refers to it. */
  keep(stage: Stage, etag: string | null): string {
    const name = this.stem(etag) + CACHE[this.kind].suffix;
    stage.install(name, { force: true, readOnly: true, sync: this.options.sync });
    return name;
  }

  /** Puts the small files beside an image, whose name without ending is `stem`. */
  putSides(stem: string, sides: readonly SideFile[], how: "replace" | "respect"): void {
    for (const { suffix, label, content } of sides) {
      const name = stem + suffix;
      if (how === "respect" && exists(this.root, name)) {
        log("warning", `File '${name}' exists already, leaving it as it is.`);
        continue;
      }
      using stage = Stage.file(this.root, label, 0o644);
      writeFileSync(stage.file.number, content);
      if (how === "replace") changeMode(stage.file, 0o444);
      stage.install(name, { force: true, readOnly: false, sync: this.options.sync });
    }
  }

  /** Makes the image `local` a copy of what is kept as `cached`, of which `twin` may be one already. */
  async copyToLocal(cached: string, local: string, twin: Stage | null): Promise<void> {
    using stage = twin ?? (this.kind === "tar" ? await this.#copyTree(cached) : this.#copyFile(cached));
    stage.install(local + CACHE[this.kind].suffix, this.#install());
    log("info", `Created new local image '${local}'.`);
  }

  #install(): InstallOptions {
    const { force, readOnly, sync } = this.options;
    return { force, readOnly, sync };
  }

  /** Gives the download itself the name of the image. */
  installLocal(stage: Stage, local: string): void {
    stage.install(local + CACHE[this.kind].suffix, this.#install());
    log("info", `Created new local image '${local}'.`);
  }

  async #copyTree(cached: string): Promise<Stage> {
    using source = openAt(this.root, cached, "directory");
    if (this.options.btrfsSubvolume && isSubvolume(source)) {
      return Stage.made(this.root, "tar", (name) => {
        snapshotSubvolume(source, this.root, name);
        return openDirectory(this.root, name);
      });
    }
    const stage = Stage.tree(this.root, "tar", this.options.btrfsSubvolume);
    try {
      await copyInChild(source, stage.file);
      return stage;
    } catch (error) {
      stage[Symbol.dispose]();
      throw error;
    }
  }

  #copyFile(cached: string): Stage {
    using source = openAt(this.root, cached, "read");
    const stage = Stage.file(this.root, "raw", 0o644);
    try {
      copyRaw(source, stage.file);
      return stage;
    } catch (error) {
      stage[Symbol.dispose]();
      throw error;
    }
  }

  /** The small files that are kept beside `cached`. */
  keptSides(stem: string, rows: readonly Pick<SideFile, "suffix" | "label">[]): SideFile[] {
    return rows.flatMap(({ suffix, label }) => {
      if (!exists(this.root, stem + suffix)) return [];
      return [{ suffix, label, content: readFileIn(this.root, stem + suffix, SIDE_LIMIT_BYTES) }];
    });
  }
}

/** Notes where a file came from, as far as its file system keeps such notes. */
export function noteOrigin(file: Fd, url: string, etag: string | null, lastModified: string | null): void {
  const time = lastModified === null ? Number.NaN : Date.parse(lastModified);
  try {
    setAttribute(file, "user.source_url", Buffer.from(url));
    if (etag !== null) setAttribute(file, "user.source_etag", Buffer.from(etag));
    if (!Number.isNaN(time)) noteCreated(file, BigInt(time) * 1000n);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
  if (!Number.isNaN(time)) setFileTime(file, Math.floor(time / 1000), 0);
}
