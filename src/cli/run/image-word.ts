// Parses the word IMAGE of `run`: the name of a local image, the URL of a file, or a reference to a container image.
// The local name of a pulled image is derived from the word alone, so that the next run finds the image without a
// request to a server.
import { isHostName, isImageName } from "../../base/names.ts";
import { withoutImageSuffix } from "../../base/vocabulary/compression.ts";
import { parseOciReference } from "../../base/vocabulary/oci-reference.ts";
import { isDownloadUrl } from "../../base/vocabulary/transfer.ts";
import { Failure } from "../session/failure.ts";

/** A parsed word; `name` is the name of the local image. */
export type ImageWord =
  | { readonly kind: "local"; readonly name: string }
  | { readonly kind: "tar" | "raw" | "oci"; readonly name: string; readonly remote: string };

const OCI_PREFIX = "oci:";
const HASH_DIGITS = 12;
const NAME_LIMIT = 40;
const TAR = /\.(tar|tar\.[a-z0-9]+|tgz|txz|tbz2?|tzst)$/i;
const RAW = /\.(raw|img|qcow2|iso)(\.[a-z0-9]+)?$/i;

/** Returns the text without characters that a machine name cannot have, cut off; "image" if nothing is left. */
function nameBase(text: string, limit = NAME_LIMIT): string {
  const letters = text.replace(/[^A-Za-z0-9.-]+/g, "-").slice(0, limit);
  const labels = letters.split(".").map((label) => label.replace(/^-+|-+$/g, ""));
  return labels.filter((label) => label !== "").join(".") || "image";
}

/**
 * Returns a name from a readable part and digits of a hash of the whole word, so that different words have different
 * names.
 */
function nameFor(readable: string, word: string): string {
  const digits = new Bun.CryptoHasher("sha256").update(word).digest("hex").slice(0, HASH_DIGITS);
  return `${nameBase(readable)}-${digits}`;
}

function urlWord(url: string): ImageWord {
  const path = url.replace(/[?#].*$/s, "").replace(/\/+$/, "");
  const file = path.slice(path.lastIndexOf("/") + 1);
  const kind = TAR.test(file) ? "tar" : RAW.test(file) ? "raw" : null;
  if (kind === null) {
    const hint = "Pull it with 'importctl pull-tar' or 'importctl pull-raw', and then run the image by its local name.";
    throw new Failure(`The name of '${url}' does not say whether it is a tar file or a disk image`, { hint });
  }
  return { kind, remote: url, name: nameFor(withoutImageSuffix(file, kind), url) };
}

function registryWord(reference: string): ImageWord {
  const parsed = parseOciReference(reference);
  if (parsed === undefined)
    throw new Failure(`'${reference}' is not a valid reference to an image: use oci:[REGISTRY/]IMAGE[:TAG][@DIGEST]`);
  const image = parsed.image.slice(parsed.image.lastIndexOf("/") + 1);
  return {
    kind: "oci",
    remote: reference,
    name: nameFor(parsed.tag === null ? image : `${image}-${parsed.tag}`, reference),
  };
}

/** Parses a word; `isLocal` returns whether a local image has that name. Throws a Failure for an invalid word. */
export async function readImageWord(word: string, isLocal: (name: string) => Promise<boolean>): Promise<ImageWord> {
  if (isDownloadUrl(word)) return urlWord(word);
  if (word.startsWith(OCI_PREFIX)) return registryWord(word.slice(OCI_PREFIX.length));
  if (isImageName(word) && (await isLocal(word))) return { kind: "local", name: word };
  if (parseOciReference(word) === undefined)
    throw new Failure(`There is no local image '${word}', and it is not a valid reference to an image of a registry`);
  return registryWord(word);
}

const RANDOM_DIGITS = 6;

/** The length of the longest machine name. */
const MACHINE_NAME_LIMIT = 64;

/** Returns a machine name for the image's name; the digits at the end of that are what makes it unique. */
export function usualName(image: string): string {
  return nameBase(image, MACHINE_NAME_LIMIT);
}

/** Returns a machine name from the image's name and random digits. */
export function madeName(image: string): string {
  const digits = crypto.randomUUID().replaceAll("-", "").slice(0, RANDOM_DIGITS);
  return `${nameBase(image)}-${digits}`;
}

/** Returns the name if it is a valid machine name; throws a Failure otherwise. */
export function requireMachineName(name: string): string {
  if (!isHostName(name)) throw new Failure(`Invalid machine name ${name}.`);
  return name;
}
