// Names that nobody can guess, and that are never made twice.

/** Returns `bytes` random bytes as hex digits. node:crypto has the same, and takes long to load. */
export function randomHex(bytes: number): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("hex");
}
