// An image: a tree or a disk from which a machine can be started, as it was found in a search directory (machinectl(1),
// "Files and Directories"). It is a value: its facts are those of the moment when it was read.
import { UINT64_MAX } from "../../base/text/format.ts";
import type { ImageType } from "../../base/vocabulary/image-class.ts";

export { isImageName } from "../../base/names.ts";

/** The directory entry of an image, which is renamed and removed. The target of a link may be elsewhere. */
export interface ImagePlace {
  /** The search directory, or the `.v` folder in one, without symbolic links. */
  readonly directory: string;
  readonly entry: string;
  readonly isLink: boolean;
  /** One of several versions in a `.v` folder. */
  readonly isVersion: boolean;
}

/** Bytes; all ones where unknown or unlimited. */
export interface ImageSpace {
  readonly usage: bigint;
  readonly usageExclusive: bigint;
  readonly limit: bigint;
  readonly limitExclusive: bigint;
}

export const UNKNOWN_SPACE: ImageSpace = {
  usage: UINT64_MAX,
  usageExclusive: UINT64_MAX,
  limit: UINT64_MAX,
  limitExclusive: UINT64_MAX,
};

export interface ImageFacts {
  readonly name: string;
  /** Without symbolic links. */
  readonly path: string;
  readonly type: ImageType;
  /** Which file it is (device, inode, time of birth): another file of the same name has another identity. */
  readonly identity: string;
  /** Null for the host's own tree. */
  readonly place: ImagePlace | null;
  /** Whether the image itself cannot be written. */
  readonly isLocked: boolean;
  /** µs; 0 where unknown. */
  readonly createdUsec: bigint;
  readonly modifiedUsec: bigint;
  readonly space: ImageSpace;
}

export const HOST_IMAGE = ".host";

export class Image {
  readonly facts: ImageFacts;

  constructor(facts: ImageFacts) {
    this.facts = facts;
  }

  get name(): string {
    return this.facts.name;
  }

  get path(): string {
    return this.facts.path;
  }

  get type(): ImageType {
    return this.facts.type;
  }

  /** Whether the other is the same file at the same place; its content may have changed. */
  isSame(other: unknown): boolean {
    if (!(other instanceof Image)) return false;
    return this.name === other.name && this.path === other.path && this.facts.identity === other.facts.identity;
  }

  /** The host's own tree. */
  get isHost(): boolean {
    return this.name === HOST_IMAGE || this.path === "/";
  }

  /** Whether it belongs to the operating system: only packages change it. */
  get isVendor(): boolean {
    return this.path === "/usr" || this.path.startsWith("/usr/");
  }

  /**
   * Whether its name begins with a dot: it is listed on request only and never written. Downloads are kept under such
   * names.
   */
  get isHidden(): boolean {
    return this.name.startsWith(".");
  }

  get isReadOnly(): boolean {
    return this.isHidden || this.isVendor || this.facts.isLocked;
  }

  get isTree(): boolean {
    return this.type === "directory" || this.type === "subvolume";
  }

  /** Whether it may be removed, renamed, marked as read-only or limited. */
  get mayChange(): boolean {
    return !this.isHost && !this.isVendor;
  }
}
