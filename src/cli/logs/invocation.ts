// How a program is to be started.

/** A program with its arguments, and descriptors for it from 3 on. */
export interface Invocation {
  readonly command: readonly string[];
  readonly argv0?: string;
  /** What it prints is the machine's text, or its journal is the machine's file: no sequence in it reaches the terminal. */
  readonly isForeign?: boolean;
  readonly fds?: readonly number[];
  /** Closes the descriptors, once the program has them. */
  readonly started?: () => void;
}
