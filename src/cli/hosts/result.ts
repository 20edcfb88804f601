// The result of a run of the client for one host.

/** The result for a host. */
export interface HostResult {
  readonly host: string;
  /** The output of its run, unless it was printed already. */
  readonly text: string;
  readonly status: number;
  /** Why it failed, on one line; null where it did not. */
  readonly error: string | null;
}
