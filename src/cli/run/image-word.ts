// What the word IMAGE of `run` means: an image that is here, the URL of a file, or a container image of a registry. What has to be
// pulled gets a name that follows from the word alone, so that the next call finds it here, without asking anybody.
import { createHash } from "node:crypto";
import { isHostName, isImageName } from "../../base/names.ts";
import { withoutImageSuffix } from "../../base/vocabulary/compression.ts";
import { parseOciReference } from "../../base/vocabulary/oci-reference.ts";
import { isDownloadUrl } from "../../base/vocabulary/transfer.ts";
import { Failure } from "../session/failure.ts";

export type ImageWord =
  | { readonly kind: "local"; readonly name: string }
  | { readonly kind: "tar" | "raw" | "oci"; readonly name: string; readonly remote: string };

const OCI_PREFIX = "oci:";
const DIGITS = 12;
const NAME_MOST = 40;
const TAR = /\.(tar|tar\.[a-z0-9]+|tgz|txz|tbz2?|tzst)$/i;
const RAW = /\.(raw|img|qcow2|iso)(\.[a-z0-9]+)?$/i;

/** A text as the beginning of a machine's name; "image" where nothing of it can be. */
export function nameBase(text: string): string {
  const letters = text.replace(/[^A-Za-z0-9.-]+/g, "-").slice(0, NAME_MOST);
  const labels = letters.split(".").map((label) => label.replace(/^-+|-+$/g, ""));
  return labels.filter((label) => label !== "").join(".") || "image";
}

/** The readable part, and digits of the whole word: words that differ have names that differ. */
function nameFor(readable: string, word: string): string {
  const digits = createHash("sha256").update(word).digest("hex").slice(0, DIGITS);
  return `${nameBase(readable)}-${digits}`;
}

function urlWord(url: string): ImageWord {
  const path = url.replace(/[?#].*$/s, "").replace(/\/+$/, "");
  const file = path.slice(path.lastIndexOf("/") + 1);
  const kind = TAR.test(file) ? "tar" : RAW.test(file) ? "raw" : null;
  if (kind === null) {
    const hint = "Pull it with 'importctl pull-tar' or 'importctl pull-raw', and run the image that it becomes.";
    throw new Failure(`The name of '${url}' does not say whether it is a tar file or a disk image`, { hint });
  }
  return { kind, remote: url, name: nameFor(withoutImageSuffix(file, kind), url) };
}

function registryWord(reference: string): ImageWord {
  const parsed = parseOciReference(reference);
  if (parsed === undefined)
    throw new Failure(`'${reference}' is no image of a registry (oci:[REGISTRY/]IMAGE[:TAG][@DIGEST])`);
  const image = parsed.image.slice(parsed.image.lastIndexOf("/") + 1);
  return {
    kind: "oci",
    remote: reference,
    name: nameFor(parsed.tag === null ? image : `${image}-${parsed.tag}`, reference),
  };
}

/** What a word means; `isLocal` tells whether an image of that name is here. Throws a Failure. */
export async function readImageWord(word: string, isLocal: (name: string) => Promise<boolean>): Promise<ImageWord> {
  if (isDownloadUrl(word)) return urlWord(word);
  if (word.startsWith(OCI_PREFIX)) return registryWord(word.slice(OCI_PREFIX.length));
  if (isImageName(word) && (await isLocal(word))) return { kind: "local", name: word };
  if (parseOciReference(word) === undefined)
    throw new Failure(`There is no image '${word}', and no registry can have one of that name`);
  return registryWord(word);
}

const RANDOM_DIGITS = 6;

/** A machine's name that nobody else has. */
export function madeName(image: string): string {
  const digits = crypto.randomUUID().replaceAll("-", "").slice(0, RANDOM_DIGITS);
  return `${nameBase(image)}-${digits}`;
}

/** Checks the name that the caller wants for the machine. */
export function requireMachineName(name: string): string {
  if (!isHostName(name)) throw new Failure(`Invalid machine name ${name}.`);
  return name;
}
