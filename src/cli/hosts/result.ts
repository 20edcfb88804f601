// What a run of the client for one host comes to.

/** What came of a host. */
export interface HostResult {
  readonly host: string;
  /** What its run printed, unless that has been passed on already. */
  readonly text: string;
  readonly status: number;
  /** Why it failed, on one line; null where it did not. */
  readonly error: string | null;
}
