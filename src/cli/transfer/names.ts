// Derives the name of an image from a path, a URL or a reference, and the compression from a file name (importctl(1)).
// All functions throw a Failure for an invalid name, before the daemon is called.
import { isImageName } from "../../base/names.ts";
import { compressionOfName, withoutImageSuffix } from "../../base/vocabulary/compression.ts";
import { parseOciReference } from "../../base/vocabulary/oci-reference.ts";
import { isDownloadUrl } from "../../base/vocabulary/transfer.ts";
import { Failure } from "../session/failure.ts";

/** The format of a transfer: a tar archive, a disk image, a directory, or a container image. */
export type Payload = "tar" | "raw" | "fs" | "oci";

/** Returns a file name without the suffixes of archives and compressions, such as `.tar.xz`. */
export function stripSuffixes(name: string, payload: Payload): string {
  return payload === "tar" || payload === "raw" ? withoutImageSuffix(name, payload) : name;
}

/** Returns a word of the command line, or null for "-" and the empty word. */
export function given(word: string | undefined): string | null {
  return word === undefined || word === "" || word === "-" ? null : word;
}

/** Returns the last component of a path that names a file; components `.` are none. */
function fileNameOf(path: string): string {
  const hint = `Give the image a name after '${path}'.`;
  const fail = (reason: string) => new Failure(`Cannot extract container name from filename: ${reason}`, { hint });
  const name = path
    .split("/")
    .filter((component) => component !== "" && component !== ".")
    .at(-1);
  if (name === undefined) throw fail("Cannot assign requested address");
  if (name === "..") throw fail("Invalid argument");
  return name;
}

function requireImageName(name: string): string {
  if (!isImageName(name)) throw new Failure(`Local name ${name} is not a suitable image name.`);
  return name;
}

/**
 * Returns the name for an image that is imported; `path` is null for standard input. `word` is the name on the command
 * line: absent to derive it from `path`; "-" and the empty word are none, and refused.
 */
export function importName(path: string | null, word: string | undefined, payload: Payload): string {
  const name = given(word);
  if (name === null && (path === null || word !== undefined)) throw new Failure("Need either path or local name.");
  const whole = name ?? fileNameOf(path ?? "");
  if (name === null && payload !== "fs" && /(^|\/)\.?$/.test(path ?? "")) {
    throw new Failure(`Path '${path}' refers to directory, but we need a regular file.`);
  }
  return requireImageName(stripSuffixes(whole, payload));
}

/** Returns the last component of a URL's path, without query and fragment. */
function urlName(url: string): string {
  const whole = url.replace(/[?#].*$/s, "");
  const hint = `Give the image a name after '${url}'.`;
  if (/^https?:\/\/[^/]+\/*$/.test(whole)) {
    throw new Failure("Failed to get final component of URL: Cannot assign requested address", { hint });
  }
  const path = whole.replace(/^[a-z]+:\/*/, "");
  const name = path.replace(/\/+$/, "").split("/").at(-1) ?? "";
  if (name === "") throw new Failure("Failed to get final component of URL: No such device or address", { hint });
  return name;
}

/**
 * Returns the name for an image that is downloaded; empty if only the unchanged download is kept. `word` is the name on
 * the command line: absent to derive it from `remote`, "-" or empty for no image.
 */
export function pullName(remote: string, word: string | undefined, payload: Payload): string {
  const reference = payload === "oci" ? parseOciReference(remote) : undefined;
  if (payload === "oci" && reference === undefined) throw new Failure(`Ref '${remote}' is not valid.`);
  if (payload !== "oci" && !isDownloadUrl(remote)) throw new Failure(`URL '${remote}' is not valid.`);
  const derived = () => (reference === undefined ? urlName(remote) : fileNameOf(reference.image));
  const name = word === undefined ? derived() : given(word);
  return name === null ? "" : requireImageName(stripSuffixes(name, payload));
}

/** Returns the name of an image to export, if it is valid. */
export function exportName(name: string): string {
  if (!isImageName(name)) throw new Failure(`Image name ${name} is not valid.`);
  return name;
}

/** Returns the compression that the suffix of a file's name stands for; empty for none. */
export function formatOf(path: string | null): string {
  const compression = compressionOfName(path ?? "");
  return compression === "uncompressed" ? "" : compression;
}
