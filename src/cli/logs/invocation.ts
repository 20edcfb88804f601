// How a program is to be started.

/** A program with its arguments, and descriptors for it from 3 on. */
export interface Invocation {
  readonly command: readonly string[];
  readonly argv0?: string;
  readonly fds?: readonly number[];
  /** Closes the descriptors, once the program has them. */
  readonly started?: () => void;
}
