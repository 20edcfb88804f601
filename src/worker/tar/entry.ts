// The members of an archive as the reader passes them on, and the interface of their receiver.
import type { FileKind } from "../../kernel/file/status.ts";
import type { RawName } from "../../kernel/tree/tree.ts";
import type { PaxTime } from "./pax.ts";
import type { SparseMap } from "./sparse.ts";

export type TarKind = Exclude<FileKind, "socket" | "other"> | "hard-link";

/** A member of an archive, with its extended headers applied. */
export interface TarEntry {
  readonly path: RawName;
  readonly kind: TarKind;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** The size of the unpacked file in bytes, holes included. */
  readonly size: number;
  readonly time: PaxTime;
  /** The target of a symbolic link, or the earlier member's path of a hard link. */
  readonly target: RawName;
  readonly major: number;
  readonly minor: number;
  readonly attributes: Map<string, Buffer> | null;
  /** ACLs as text; `fallback` is the default ACL of a directory. */
  readonly acl: { readonly access: string | null; readonly fallback: string | null };
  readonly sparse: SparseMap | null;
}

/** Receives the data of one entry in order, each part with its offset in the file, and then its end. */
export interface TarSink {
  write(part: Buffer, offset: number): void;
  end(): void;
}

/** Receives the entries. Returns the sink for the data of an entry; null skips the data. */
export interface TarTarget {
  entry(entry: TarEntry): TarSink | null;
  /** Called after the last entry. */
  end?(): void;
}
