/** The parameters of a release. */
export interface Release {
  /** The directory for its files. */
  readonly folder: string;
  /** A directory for temporary files. */
  readonly work: string;
  /** The time of all its files, in seconds since 1970. */
  readonly sourceDate: number;
}
