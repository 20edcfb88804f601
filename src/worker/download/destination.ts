// What a download asks of the place where it goes.
import type { SpoolParts } from "./spool-parts.ts";
import type { Origin } from "./spool-state.ts";

/** Where a download goes. */
export interface Destination {
  /** How many bytes were written, from the first on without a gap. */
  readonly end: number;
  /** The version of the file that these bytes belong to; null before the first. */
  readonly origin: Origin | null;
  /** Only the byte behind the last one can be taken. */
  readonly isSequential: boolean;
  readonly generation: number;
  readonly parts: SpoolParts;
  begin(origin: Origin): void;
  append(chunk: Buffer): void | Promise<void>;
  putAhead(chunk: Buffer, position: number, generation: number): void;
  joinParts(): void;
  /** Whether the bytes at `position` equal these. */
  matches(chunk: Buffer, position: number): boolean;
}
