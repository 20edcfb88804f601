// The list of checksums of a download, and its signature: which of the possible files a server has.

import type { VerifyMode } from "../../base/vocabulary/transfer.ts";
import { lastComponent, neighbour } from "../download/url.ts";
import type { SumsFile } from "./checksums.ts";
import { isClearSigned } from "./signature.ts";

type Fetch = (url: string) => Promise<Buffer | null>;

/** A list for one file, or for all of a directory, with the suffixes of its signature in order. */
interface Style {
  readonly name: string;
  readonly signatures: readonly string[];
}

const OF_DIRECTORY: Style = { name: "SHA256SUMS", signatures: [".gpg", ".asc"] };
const OF_FILE = { suffix: ".sha256", signatures: [".asc", ".gpg"] };

function stylesOf(file: string): Style[] {
  const { suffix, signatures } = OF_FILE;
  return file === "" ? [OF_DIRECTORY] : [{ name: file + suffix, signatures }, OF_DIRECTORY];
}

/** Returns the style of a list that is downloaded itself; null for any other file. */
function ownStyle(file: string): Style | null {
  if (file === OF_DIRECTORY.name) return OF_DIRECTORY;
  return file.endsWith(OF_FILE.suffix) ? { name: file, signatures: OF_FILE.signatures } : null;
}

/** Whether `url` is a list of checksums: no other list contains it, so that only a signature can verify it. */
export function isList(url: string): boolean {
  return ownStyle(lastComponent(url)) !== null;
}

/** Downloads the signature of the list `url`; returns null when the server has none. */
export async function fetchListSignature(url: string, fetch: Fetch): Promise<SumsFile["signature"]> {
  const style = ownStyle(lastComponent(url));
  return style === null ? null : fetchSignature(url, style, fetch);
}

/** Downloads the list that verifies `url`; returns null when the server has none. A signed list is preferred. */
export async function fetchSums(url: string, mode: VerifyMode, fetch: Fetch): Promise<SumsFile | null> {
  let unsigned: SumsFile | null = null;
  for (const style of stylesOf(lastComponent(url))) {
    const content = await fetch(neighbour(url, style.name));
    if (content === null) continue;
    const signature = mode === "signature" && !isClearSigned(content) ? await fetchSignature(url, style, fetch) : null;
    const sums = { name: style.name, content, signature };
    if (mode !== "signature" || signature !== null || isClearSigned(content)) return sums;
    unsigned ??= sums;
  }
  return unsigned;
}

async function fetchSignature(url: string, style: Style, fetch: Fetch): Promise<SumsFile["signature"]> {
  for (const suffix of style.signatures) {
    const name = style.name + suffix;
    const content = await fetch(neighbour(url, name));
    if (content !== null) return { name, content };
  }
  return null;
}
