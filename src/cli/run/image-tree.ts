// The files of an image that can be looked into from outside: of one tree, or of layers one over the other. An image is a stranger:
// everything is opened below its own root.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { findUser, groupsOfUser } from "../../base/user-database.ts";
import type { ImageType } from "../../base/vocabulary/image-class.ts";
import { type Fd, openInRoot, openPath, readFileIn } from "../../kernel/file/fd.ts";
import { Failure } from "../session/failure.ts";

/** Where the image is, and how it is kept. */
export interface ImagePlace {
  readonly path: string;
  readonly type: ImageType;
}

export interface ImageAccount {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
  readonly home: string;
}

export const ROOT: ImageAccount = { uid: 0, gid: 0, groups: [], home: "/root" };
const FILE_LIMIT_BYTES = 16 << 20;

const LAYER = /^layer@(\d+)$/;

/** The layers of a stack, the uppermost first: links, or directories of the stack itself. */
export function stackLayers(path: string): { name: string; isDirectory: boolean }[] {
  const number = (name: string) => Number(LAYER.exec(name)?.[1]);
  const entries = readdirSync(path, { withFileTypes: true }).filter(({ name }) => LAYER.test(name));
  entries.sort((a, b) => number(b.name) - number(a.name));
  return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
}

function treesOfStack(path: string): string[] {
  return ["rw", ...stackLayers(path).map(({ name }) => name)].map((name) => join(path, name));
}

export class ImageTree implements Disposable {
  readonly #roots: readonly Fd[];

  private constructor(roots: readonly Fd[]) {
    this.#roots = roots;
  }

  /** Null for an image that is no tree. */
  static open({ path, type }: ImagePlace): ImageTree | null {
    if (type === "raw" || type === "block") return null;
    const paths = type === "mstack" ? treesOfStack(path) : [path];
    return new ImageTree(
      paths.flatMap((one) => {
        try {
          return [openPath(one, "directory")];
        } catch {
          return []; // a stack that is read-only has no directory for what is written
        }
      }),
    );
  }

  has(path: string): boolean {
    return (
      this.#first((root) => {
        openInRoot(root, path, "path").close();
        return true;
      }) === true
    );
  }

  /** The account of a user, by name or number. Throws a Failure for a name that the image does not have. */
  accountOf(user: string): ImageAccount {
    const isNumber = /^\d+$/.test(user);
    const entry = findUser(this.#text("/etc/passwd"), isNumber ? Number(user) : user);
    if (entry !== null) {
      const { name, uid, gid, home } = entry;
      return { uid, gid, home: home || "/", groups: groupsOfUser(this.#text("/etc/group"), name) };
    }
    if (user === "0" || user === "root") return ROOT;
    if (!isNumber) throw new Failure(`The image has no user '${user}', as whom its program is to be run`);
    return { uid: Number(user), gid: 0, groups: [], home: "/" };
  }

  #text(path: string): string {
    return this.#first((root) => readFileIn(root, path, FILE_LIMIT_BYTES).toString()) ?? "";
  }

  #first<Value>(read: (root: Fd) => Value): Value | null {
    for (const root of this.#roots) {
      try {
        return read(root);
      } catch {
        // Not in this layer.
      }
    }
    return null;
  }

  [Symbol.dispose](): void {
    for (const root of this.#roots) root.close();
  }
}
