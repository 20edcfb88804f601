/** An error of a release whose message is printed without a stack trace. */
export class ReleaseError extends Error {
  override readonly name = "ReleaseError";
}
