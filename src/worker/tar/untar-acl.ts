// Access control lists that name users and groups without their numbers, as GNU tar writes them. The names are those of
// the archive's own passwd and group files, which may come last: the lists wait for the end.
import { type Fd, readFileIn } from "../../kernel/file/fd.ts";
import { SyscallError } from "../../kernel/syscall/sys.ts";
import { type RawName, RawStatus } from "../../kernel/tree/tree.ts";
import type { Held } from "../program/budget.ts";
import { type AclNames, encodeAcl } from "./pax-acl.ts";

export interface NamedAcl {
  readonly attribute: string;
  readonly text: string;
}

interface LateAcl extends NamedAcl {
  readonly components: readonly RawName[];
  /** Of the file that the archive meant: another one of that name is not given the list. */
  readonly identity: string;
}

const OVERHEAD_BYTES = 256;

export class LateAcls {
  readonly #held: Held;
  readonly #status = new RawStatus();
  readonly #lists = new Map<RawName, LateAcl[]>();

  constructor(held: Held) {
    this.#held = held;
  }

  add(components: readonly RawName[], file: Fd, lists: readonly NamedAcl[]): void {
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

  /** Another file takes the place of the one that had lists; its inode may have the same number. */
  forget(components: readonly RawName[]): void {
    if (this.#lists.size > 0) this.#lists.delete(components.join("/"));
  }

  /** Every list in the order it came, with its value as far as the tree knows the names; null where it does not. */
  *resolved(top: Fd, mapId: (id: number) => number): Generator<LateAcl & { value: Buffer | null }> {
    if (this.#lists.size === 0) return;
    const names = namesOf(top);
    for (const list of [...this.#lists.values()].flat())
      yield { ...list, value: encodeAcl(list.text, { names, mapId }) };
  }

  isSame({ identity }: LateAcl, file: Fd): boolean {
    return this.#status.readFd(file).identity === identity;
  }
}

const DATABASE_LIMIT_BYTES = 4 << 20;

/** The numbers of users and groups as the tree's own files have them. */
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
  try {
    return readFileIn(top, path, DATABASE_LIMIT_BYTES).toString("utf8");
  } catch (error) {
    if (error instanceof SyscallError) return "";
    throw error;
  }
}
