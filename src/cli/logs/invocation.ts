// The type of a command line to start.

/** A program with its arguments and descriptors. */
export interface Invocation {
  readonly command: readonly string[];
  readonly argv0?: string;
  /**
   * Whether the machine controls the output or the journal files, so that no escape sequence may reach the terminal.
   */
  readonly isForeign?: boolean;
  /** Descriptors that the program inherits as 3, 4, … */
  readonly fds?: readonly number[];
  /** To be called when the program has been started: closes the descriptors. */
  readonly started?: () => void;
}
