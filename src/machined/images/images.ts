// The images of this host: the search for them, their metadata, and the operations that change them. One object for
// each daemon.
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf, invalidArgument, MachinedError } from "../../base/error.ts";
import { openPath } from "../../kernel/file/fd.ts";
import { type Image, isImageName } from "../../registry/image/image.ts";
import { type ImageLayout, layoutBelow } from "../../registry/image/layout.ts";
import { lockImage } from "../../registry/image/lock.ts";
import { type ImageMetadata, readMetadata } from "../../registry/image/metadata.ts";
import { ImageSearch, isTreeName } from "../../registry/image/search.ts";
import { hasLeftovers } from "../../registry/image/sweep.ts";
import type { Operations, Plain } from "../../registry/operation.ts";
import type { Log } from "../../registry/ports.ts";
import { DiskMetadata } from "./disk-metadata.ts";

/** Throws InvalidArgs for a text that is no valid image name. */
export function requireImageName(parameter: string, name: string): void {
  if (!isImageName(name)) throw invalidArgument(parameter, `Image name '${name}' is invalid.`);
}

/** Throws InvalidArgs for a name under which a tree would not be found. */
export function requireNameFor(image: Image, newName: string): void {
  if (image.isTree && !isTreeName(newName)) {
    throw invalidArgument("newName", `Image name '${newName}' is invalid for a tree.`);
  }
}

/** After this time, the workers of a daemon that was killed have ended, too. */
const SWEEP_AGAIN_MS = 5000;

export class Images {
  readonly layout: ImageLayout;
  readonly search: ImageSearch;
  readonly operations: Operations;
  readonly #log: Log;
  readonly #disks: DiskMetadata;
  /** The readings of metadata that begin at the end of this turn, by path. */
  readonly #readings = new Map<string, Promise<ImageMetadata>>();
  #again: ReturnType<typeof setTimeout> | undefined;
  /** Called when an operation has ended, with or without success. */
  operated: () => void = () => {};

  constructor(layout: ImageLayout, operations: Operations, log: Log) {
    this.layout = layout;
    this.search = new ImageSearch(layout.searchPath, layout);
    this.operations = operations;
    this.#log = log;
    this.#disks = new DiskMetadata(operations);
  }

  /** Returns the images of a scope; MACHINED_IMAGE_ROOT moves the system's images below another root. */
  static of(scope: ImageLayout, operations: Operations, log: Log): Images {
    const root = process.env["MACHINED_IMAGE_ROOT"];
    const layout = root ? layoutBelow(root) : scope;
    const isLocking = process.env["SYSTEMD_NSPAWN_LOCK"] !== "0";
    return new Images(isLocking ? layout : { ...layout, locks: null }, operations, log);
  }

  /** Returns all images; the same array while nothing has changed. */
  list(): readonly Image[] {
    return this.search.list();
  }

  find(name: string): Image | null {
    return this.search.find(name);
  }

  /** Returns the image of that name; throws NoSuchImage. */
  get(name: string): Image {
    const image = this.find(name);
    if (image === null) throw new MachinedError("NoSuchImage", `No image '${name}' known`);
    return image;
  }

  /** As `get()`, but throws InvalidArgs for a name that no image can have. */
  require(name: string): Image {
    requireImageName("name", name);
    return this.get(name);
  }

  /**
   * Returns the metadata of an image. Rejects with an errno while it is in use ("Failed to read image metadata: …").
   * Calls that arrive together, as those of `image-status`, share a reading, which begins after them.
   */
  metadata(image: Image): Promise<ImageMetadata> {
    const { path } = image;
    const known = this.#readings.get(path);
    if (known !== undefined) return known;
    const reading = Promise.resolve().then(() => {
      this.#readings.delete(path);
      return this.#readMetadata(image);
    });
    this.#readings.set(path, reading);
    return reading;
  }

  async #readMetadata(image: Image): Promise<ImageMetadata> {
    try {
      using _lock = lockImage(this.layout.locks, image.path, "shared");
      if (!image.isTree) return await this.#diskMetadata(image);
      using root = openPath(image.path, "directory");
      return readMetadata(root);
    } catch (error) {
      throw withText("Failed to read image metadata", error);
    }
  }

  #diskMetadata(image: Image): Promise<ImageMetadata> {
    if (image.type === "mstack") throw new ErrnoError("EOPNOTSUPP", errnoText("EOPNOTSUPP"));
    return this.#disks.of(image);
  }

  /** Runs an operation on images; the remains of a killed one are removed in the background. */
  async run(program: string, request: { readonly [key: string]: Plain }): Promise<Plain> {
    const args = [JSON.stringify({ layout: this.layout, ...request })];
    try {
      return await this.operations.run({
        program,
        args,
        onProgress: (progress) => this.#log.debug(`${program}: ${JSON.stringify(progress)}`),
      });
    } catch (error) {
      if (errnoNameOf(error) === "ESHUTDOWN") this.#sweep();
      throw error;
    } finally {
      this.operated();
    }
  }

  /**
   * Removes the remains of killed operations of this or an earlier daemon, in the background; again some seconds later,
   * because workers of a daemon that was killed end after it, and hold what they work on until then.
   */
  sweep(): void {
    const look = () => {
      if (hasLeftovers(this.layout)) this.#sweep();
    };
    look();
    this.#again = setTimeout(look, SWEEP_AGAIN_MS);
    this.#again.unref();
  }

  /** Starts no further work. */
  close(): void {
    clearTimeout(this.#again);
  }

  #sweep(): void {
    this.operations
      .run({ program: "remove-leftovers", args: [JSON.stringify({ layout: this.layout })] })
      .catch((error) => this.#log.debug(`Cannot remove what was left over: ${error}`));
  }
}

/** Returns an image as a worker needs it: with its identity, because its name may belong to another file by then. */
export function targetOf({ name, path, facts }: Image): { readonly [key: string]: string } {
  return { name, path, identity: facts.identity };
}

/** Returns an error with an errno as a new one whose text begins with `attempt`; returns any other error unchanged. */
export function withText(attempt: string, error: unknown): unknown {
  const errno = errnoNameOf(error);
  return errno === null ? error : new ErrnoError(errno, `${attempt}: ${errnoText(errno)}`, { cause: error });
}
