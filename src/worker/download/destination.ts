// The interface of a download's destination.
import type { SpoolParts } from "./spool-parts.ts";
import type { Origin } from "./spool-state.ts";

/** Receives the bytes of a download; implemented by the spool and by the unbuffered download. */
export interface Destination {
  /** How many bytes were written from the first one on without a gap. */
  readonly end: number;
  /** The version of the file that these bytes belong to; null before the first. */
  readonly origin: Origin | null;
  /** Whether bytes are accepted in order only. */
  readonly isSequential: boolean;
  readonly generation: number;
  readonly parts: SpoolParts;
  begin(origin: Origin): void;
  append(chunk: Buffer): void | Promise<void>;
  /** Writes bytes of a later part; returns false where bytes of that generation are not taken any more. */
  putAhead(chunk: Buffer, position: number, generation: number): boolean;
  joinParts(): void;
  /** Whether the bytes at `position` equal these. */
  matches(chunk: Buffer, position: number): boolean;
}
