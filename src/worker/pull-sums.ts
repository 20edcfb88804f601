// The list of checksums that belongs to a download, and its signature: which of the possible files a server has.

import { lastComponent, neighbour } from "./pull-url.ts";
import { isClearSigned } from "./signature.ts";
import type { SumsFile, VerifyMode } from "./verify.ts";

type Fetch = (url: string) => Promise<Buffer | null>;

/** A list that belongs to one file, or to all of a directory, with the endings of its signature in order. */
interface Style {
  readonly name: string;
  readonly signatures: readonly string[];
}

function stylesOf(file: string): Style[] {
  const ofDirectory = { name: "SHA256SUMS", signatures: [".gpg", ".asc"] };
  return file === "" ? [ofDirectory] : [{ name: `${file}.sha256`, signatures: [".asc", ".gpg"] }, ofDirectory];
}

/** The list to verify `url` with; null when the server has none. A list that is not signed gives way to one that is. */
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
