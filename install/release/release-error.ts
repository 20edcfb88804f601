/** Why there is no release, for whoever asked for it. */
export class ReleaseError extends Error {
  override readonly name = "ReleaseError";
}
