/** One release that is being made. */
export interface Release {
  /** Where its files are collected. */
  readonly folder: string;
  /** What is needed on the way. */
  readonly work: string;
  /** Seconds since 1970: the time of every file in it. */
  readonly sourceDate: number;
}
