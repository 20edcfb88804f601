// Access control lists with names of users and groups instead of ids, as GNU tar writes them. The names are resolved by
// the passwd and group files in the archive, which may be its last members: so the lists are applied at the end.

import { unlessNoFile } from "../../base/absence.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { readFileIn } from "../../kernel/file/regular-file.ts";
import { unlessErrno } from "../../kernel/syscall/sys.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import type { RawName } from "../../kernel/tree/tree.ts";
import type { Held } from "../program/budget.ts";
import { type AclNames, encodeAcl } from "../tar/pax-acl.ts";

/** An ACL as text, and the attribute that it belongs to. */
export interface NamedAcl {
  readonly attribute: string;
  readonly text: string;
}

interface LateAcl extends NamedAcl {
  readonly components: readonly RawName[];
  /** The identity of the file; the list is not applied to another file of that name. */
  readonly identity: string;
}

const OVERHEAD_BYTES = 256;

/** The lists that wait; `held` limits their memory. */
export class LateAcls {
  readonly #held: Held;
  readonly #status = new RawStatus();
  readonly #lists = new Map<RawName, LateAcl[]>();

  constructor(held: Held) {
    this.#held = held;
  }

  /** Remembers the lists of a file at a path, replacing earlier ones. Throws where the memory limit is exceeded. */
  add(components: readonly RawName[], file: Fd, lists: readonly NamedAcl[]): void {
    this.forget(components);
    if (lists.length === 0) return;
    const { identity } = this.#status.readFd(file);
    const path = components.join("/");
    for (const { text } of lists)
      this.#held.add(OVERHEAD_BYTES + 2 * path.length + text.length, "access control lists");
    this.#lists.set(
      path,
      lists.map((list) => ({ ...list, components, identity })),
    );
  }

  /**
   * Forgets the lists at a path, because a new file was made there, which may have the inode number of an earlier one.
   */
  forget(components: readonly RawName[]): void {
    if (this.#lists.size > 0) this.#lists.delete(components.join("/"));
  }

  /** Yields every list in order, with the attribute's value; null where the tree's files lack one of its names. */
  *resolved(top: Fd, mapId: (id: number) => number): Generator<LateAcl & { value: Buffer | null }> {
    if (this.#lists.size === 0) return;
    const names = namesOf(top);
    for (const list of [...this.#lists.values()].flat())
      yield { ...list, value: encodeAcl(list.text, { names, mapId }) };
  }

  /** Returns whether `file` is the one that the list belongs to. */
  isSame({ identity }: LateAcl, file: Fd): boolean {
    return this.#status.readFd(file).identity === identity;
  }
}

const DATABASE_LIMIT_BYTES = 4 << 20;

/** Returns a lookup in the tree's own passwd and group files. */
function namesOf(top: Fd): AclNames {
  const read = (path: string): Map<string, number> => {
    const ids = new Map<string, number>();
    for (const line of contentOf(top, path).split("\n")) {
      const [name, , id = ""] = line.split(":");
      if (name && /^\d{1,10}$/.test(id) && !ids.has(name)) ids.set(name, Number(id));
    }
    return ids;
  };
  const [users, groups] = [read("etc/passwd"), read("etc/group")];
  return { user: (name) => users.get(name) ?? null, group: (name) => groups.get(name) ?? null };
}

function contentOf(top: Fd, path: string): string {
  const read = () => readFileIn(top, path, DATABASE_LIMIT_BYTES).toString("utf8");
  return unlessNoFile(() => unlessErrno(read, "", "EACCES", "EBADF", "EFBIG", "ELOOP"), "");
}
