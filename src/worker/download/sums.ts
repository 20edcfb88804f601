// The list of checksums that belongs to a download, and its signature: which of the possible files a server has.

import type { VerifyMode } from "../../base/vocabulary/transfer.ts";
import { isClearSigned } from "./signature.ts";
import { lastComponent, neighbour } from "./url.ts";
import type { SumsFile } from "./verify.ts";

type Fetch = (url: string) => Promise<Buffer | null>;

/** A list that belongs to one file, or to all of a directory, with the endings of its signature in order. */
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

/** The style of a list that is itself what is downloaded; null for everything else. */
function ownStyle(file: string): Style | null {
  if (file === OF_DIRECTORY.name) return OF_DIRECTORY;
  return file.endsWith(OF_FILE.suffix) ? { name: file, signatures: OF_FILE.signatures } : null;
}

/** Whether `url` is a list of checksums: no other list has it, only a signature speaks for it. */
export function isList(url: string): boolean {
  return ownStyle(lastComponent(url)) !== null;
}

/** The signature of the list `url`; null when the server has none. */
export async function fetchListSignature(url: string, fetch: Fetch): Promise<SumsFile["signature"]> {
  const style = ownStyle(lastComponent(url));
  return style === null ? null : fetchSignature(url, style, fetch);
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
