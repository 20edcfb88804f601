// Reads files in an image that is a directory tree, or a stack of layers. Images are not trusted: symbolic links in
// them are resolved below the image's own root (openat2(2), RESOLVE_IN_ROOT; layer-path.ts).

import { join } from "node:path";
import { meansNoFile } from "../../base/absence.ts";
import { findUser, groupsOfUser } from "../../base/user-database.ts";
import type { ImageType } from "../../base/vocabulary/image-class.ts";
import { type Fd, openInRoot, openPath, reopen, statFd } from "../../kernel/file/fd.ts";
import { readRegular } from "../../kernel/file/regular-file.ts";
import { Failure, reasonOf } from "../session/failure.ts";
import { isWhiteout, openInLayers } from "./layer-path.ts";
import { stackLayers } from "./stack.ts";

/** The path and the storage type of an image. */
export interface ImagePlace {
  readonly path: string;
  readonly type: ImageType;
}

/** A user of the image's user database. */
export interface ImageAccount {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly home: string;
}

/** The account of root, for which no user database is read. */
export const ROOT: ImageAccount = { uid: 0, gid: 0, groups: [], home: "/root" };
const FILE_LIMIT_BYTES = 16 << 20;

/**
 * Where systemd-nspawn keeps what a machine wrote to a stack (systemd.mstack(7)); beside it is a directory for the
 * kernel's use.
 */
const WRITTEN = "rw/data";

/** Returns the trees of a stack in the order of a look-up: the written one, then the layers from the top. */
function treesOfStack(path: string): string[] {
  return [WRITTEN, ...stackLayers(path).map(({ name }) => name)].map((name) => join(path, name));
}

function cannotRead(what: string, error: unknown): Failure {
  return new Failure(`Could not read ${what}: ${reasonOf(error)}`, { cause: error });
}

/** The opened trees of an image. */
export class ImageTree implements Disposable {
  readonly #roots: readonly Fd[];

  private constructor(roots: readonly Fd[]) {
    this.#roots = roots;
  }

  /** Opens the trees; null for a disk image. The caller disposes of it. */
  static open({ path, type }: ImagePlace): ImageTree | null {
    if (type === "raw" || type === "block") return null;
    const paths = type === "mstack" ? treesOfStack(path) : [path];
    return new ImageTree(
      paths.flatMap((one) => {
        try {
          return [openPath(one, "directory")];
        } catch (error) {
          if (!meansNoFile(error)) throw cannotRead(one, error);
          return []; // no machine has written to the stack yet
        }
      }),
    );
  }

  /** Whether the image contains the path. */
  has(path: string): boolean {
    using file = this.#open(path);
    return file !== null;
  }

  /**
   * Returns the account of a user given by name or number. Throws a Failure for a name that the image does not have.
   */
  accountOf(user: string): ImageAccount {
    const isNumber = /^\d+$/.test(user);
    const entry = findUser(this.#text("/etc/passwd"), isNumber ? Number(user) : user);
    if (entry !== null) {
      const { name, uid, gid, home } = entry;
      return { uid, gid, home: home || "/", groups: groupsOfUser(this.#text("/etc/group"), name) };
    }
    if (user === "0" || user === "root") return ROOT;
    if (!isNumber) throw new Failure(`The image has no user '${user}', whom its settings name to run its program`);
    return { uid: Number(user), gid: 0, groups: [], home: "/" };
  }

  /** Returns the text of a file; empty if the image does not have it. */
  #text(path: string): string {
    using file = this.#open(path);
    if (file === null || statFd(file).kind !== "regular") return "";
    return this.#unlessMissing(() => {
      using opened = reopen(file, "read");
      return readRegular(opened, FILE_LIMIT_BYTES).toString();
    }, "");
  }

  /** Opens a path (O_PATH); returns null where the image has none. */
  #open(path: string): Fd | null {
    return this.#unlessMissing(() => {
      const [root] = this.#roots;
      if (root === undefined || this.#roots.length > 1) return openInLayers(this.#roots, path);
      const file = openInRoot(root, path, "path");
      if (!isWhiteout(file)) return file;
      file.close();
      return null;
    }, null);
  }

  /** Returns what `read` returns, `absent` for a file that is missing. Throws a Failure where it cannot be read. */
  #unlessMissing<Value, Absent>(read: () => Value, absent: Absent): Value | Absent {
    try {
      return read();
    } catch (error) {
      if (!meansNoFile(error)) throw cannotRead("the image", error);
      return absent;
    }
  }

  [Symbol.dispose](): void {
    for (const root of this.#roots) root.close();
  }
}
