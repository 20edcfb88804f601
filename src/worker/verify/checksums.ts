// Checksums of downloads: files in the form of sha256sum(1), for one file (NAME.sha256) or for all of a directory
// (SHA256SUMS). Where a signature is required, only the signed part of a list counts (systemd-importd.service(8)).
import { ErrnoError } from "../../base/error.ts";
import type { VerifyMode } from "../../base/vocabulary/transfer.ts";
import { log } from "../program/log.ts";
import type { Keyring } from "./keyring.ts";
import { isClearSigned, verifyClearSigned, verifyDetached } from "./signature.ts";

/** A downloaded file that must be in the list. */
export interface CheckedFile {
  readonly name: string;
  readonly sha256: string;
}

/** A list of checksums, and the signature over it where one was found. */
export interface SumsFile {
  readonly name: string;
  readonly content: Buffer;
  readonly signature: { readonly name: string; readonly content: Buffer } | null;
}

const SEPARATORS = [" *", "  ", " "];

/** Whether `text` has a line with this checksum of `name`. The last line may lack its newline. */
export function listsChecksum(text: Buffer, { name, sha256 }: CheckedFile): boolean {
  const wanted = new Set(SEPARATORS.map((separator) => `${sha256.toLowerCase()}${separator}${name}`));
  return text
    .toString("latin1")
    .split("\n")
    .some((line) => wanted.has(Buffer.from(line, "latin1").toString("utf8")));
}

/** Throws unless `text`, the trusted part of the list, has all files. Null: nothing is verified. */
export function requireListed(text: Buffer | null, files: readonly CheckedFile[]): void {
  if (text === null) return;
  for (const file of files) {
    if (!listsChecksum(text, file)) {
      const message = `DOWNLOAD INVALID: Checksum of ${file.name} file did not check out, file has been tampered with.`;
      throw new ErrnoError("EBADMSG", `${message} (its SHA256 is ${file.sha256})`);
    }
    log("info", `SHA256 checksum of ${file.name} is valid.`);
  }
}

/**
 * Returns the trusted part of the list, which must be signed where `mode` requires it; null when nothing is verified.
 */
export async function trustedText(
  mode: VerifyMode,
  sums: SumsFile | null,
  keyring: () => Promise<Keyring>,
): Promise<Buffer | null> {
  if (mode === "no") return null;
  if (sums === null || sums.content.length === 0) {
    throw new ErrnoError("EBADMSG", "Failed to retrieve SHA256 checksum, cannot verify. (Try --verify=no?)");
  }
  const { content, signature } = sums;
  if (mode === "checksum") return isClearSigned(content) ? verifyClearSigned(content, null) : content;
  if (isClearSigned(content)) return verifyClearSigned(content, await keyring());
  if (signature === null || signature.content.length === 0) {
    throw new ErrnoError("EBADMSG", "Failed to retrieve signature file, cannot verify. (Try --verify=checksum?)");
  }
  await verifyDetached(content, signature.content, await keyring());
  log("info", `Signature verification of ${sums.name} succeeded (${signature.name}).`);
  return content;
}
