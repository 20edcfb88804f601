// What an archive's reader tells of a member, and whom it tells it.
import type { FileKind } from "../../kernel/file/status.ts";
import type { RawName } from "../../kernel/tree/tree.ts";
import type { PaxTime } from "./pax.ts";
import type { SparseMap } from "./sparse.ts";

export type TarKind = Exclude<FileKind, "socket" | "other"> | "hard-link";

export interface TarEntry {
  readonly path: RawName;
  readonly kind: TarKind;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of the file once it is unpacked, holes included. */
  readonly size: number;
  readonly time: PaxTime;
  /** Of links. */
  readonly target: RawName;
  readonly major: number;
  readonly minor: number;
  readonly attributes: Map<string, Buffer> | null;
  readonly acl: { readonly access: string | null; readonly fallback: string | null };
  readonly sparse: SparseMap | null;
}

/** Where the data of one entry goes, in order, and then its end. */
export interface TarSink {
  write(part: Buffer, offset: number): void;
  end(): void;
}

/** What is made of the entries. Entries without a sink have their data passed over. */
export interface TarTarget {
  entry(entry: TarEntry): TarSink | null;
}
