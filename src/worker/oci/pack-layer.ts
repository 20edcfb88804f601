// Packs a tree as a layer of a container image: a compressed archive in a temporary file, and the digests of the
// archive and the file.
import { writeSync } from "node:fs";
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { textOf } from "../../kernel/tree/tree.ts";
import { Stage } from "../image/stage.ts";
import { transferBudget } from "../program/budget.ts";
import { log } from "../program/log.ts";
import { workerTurns } from "../stream/archive.ts";
import { compress } from "../stream/compression.ts";
import type { PackPolicy } from "../tar/pack.ts";
import type { PushedLayer } from "./image-config.ts";
import { isOverlayAttribute } from "./marks.ts";

/** The maximum size of a layer, unpacked; it is the same for pulls. */
const CONTENT_LIMIT_BYTES = 64 * 1024 ** 3;
const WHITEOUT = ".wh.";
/** How many devices that are left out are logged by name. */
const DEVICES_NAMED = 20;
/** Attributes that are valid on this host only. */
const OF_THIS_HOST: ReadonlySet<string> = new Set(["security.selinux", "user.crtime_usec"]);

/** A layer that was packed here; disposing of it removes its file. */
export interface PackedLayer extends PushedLayer, Disposable {
  readonly file: Fd;
}

/**
 * Returns the rules for writing a tree as a layer. Attributes and devices that have another meaning in layers are left
 * out with a warning; a file with the name of a whiteout is refused with an error.
 */
export function layerPolicy(): PackPolicy {
  let hasWarned = false;
  let devices = 0;
  return {
    aclsTwice: true,
    dropAttribute: (name) => {
      if (isOverlayAttribute(name) && !hasWarned) {
        hasWarned = true;
        log("warning", "Attributes of overlayfs are left out: in a layer they have another meaning.");
      }
      return isOverlayAttribute(name) || OF_THIS_HOST.has(name);
    },
    accepts: (path, name, status) => {
      if (name.startsWith(WHITEOUT)) {
        throw new ErrnoError(
          "EOPNOTSUPP",
          `File '${textOf(path)}' cannot be in a container image: names that begin with '${WHITEOUT}' mark removed files there.`,
        );
      }
      if (status.kind !== "character" || status.deviceNumber !== 0) return true;
      // A machine can make any number of them.
      if (++devices <= DEVICES_NAMED)
        log("warning", `Device 0:0 '${textOf(path)}' is left out: in a layer it marks a removed file.`);
      else if (devices === DEVICES_NAMED + 1) log("warning", "Further devices 0:0 are left out.");
      return false;
    },
  };
}

/** Calls `work`, which makes or writes the file of a layer. An error of the disk says what it is for, and where. */
function inPool<T>(root: Fd, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const errno = errnoNameOf(error);
    if (errno === null || error instanceof ErrnoError) throw error;
    const place = `a temporary file in '${pathOf(root)}'`;
    throw new ErrnoError(errno, `Cannot pack the layer to push in ${place}: ${errnoText(errno)}`, { cause: error });
  }
}

/** Compresses an archive into a file in `root`. Throws EFBIG for one that is larger than a layer may be. */
export async function packLayer(
  archive: Iterable<Buffer>,
  root: Fd,
  { compression, comment }: Pick<PushedLayer, "compression" | "comment">,
): Promise<PackedLayer> {
  const [plain, packed] = [new Bun.CryptoHasher("sha256"), new Bun.CryptoHasher("sha256")];
  let size = 0;
  const empty = inPool(root, () => Stage.file(root, "oci"));
  const stage = await empty.filledBy(async (file) => {
    const spending = transferBudget.part(root);
    for await (const chunk of compress(hashed(archive, plain), compression)) {
      spending.wrote(chunk.length);
      packed.update(chunk);
      inPool(root, () => {
        for (let at = 0; at < chunk.length; ) at += writeSync(file.number, chunk, at, chunk.length - at, size + at);
      });
      size += chunk.length;
    }
  });
  return {
    file: stage.file,
    digest: `sha256:${packed.digest("hex")}`,
    diffId: `sha256:${plain.digest("hex")}`,
    size,
    compression,
    comment,
    [Symbol.dispose]: () => stage[Symbol.dispose](),
  };
}

async function* hashed(archive: Iterable<Buffer>, hash: Bun.CryptoHasher): AsyncGenerator<Buffer> {
  const turns = workerTurns();
  let size = 0;
  for (const chunk of archive) {
    size += chunk.length;
    if (size > CONTENT_LIMIT_BYTES) throw new ErrnoError("EFBIG", "Image is larger than a layer may be, which is 64G.");
    hash.update(chunk);
    await turns.pass();
    // Empty chunks are pauses of the packer.
    if (chunk.length > 0) yield chunk;
  }
}
