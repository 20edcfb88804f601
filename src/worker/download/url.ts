// Addresses of downloads: which may be downloaded, the files beside them, and the names of kept downloads.

export function isFileUrl(url: string): boolean {
  return url.startsWith("file:");
}

function withoutQuery(url: string): string {
  return url.replace(/[?#].*$/s, "");
}

/** Returns the last component of an address; empty when it ends in a slash. */
export function lastComponent(url: string): string {
  const path = withoutQuery(url).replace(/^[a-z]+:\/\/[^/]*/, "");
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Returns the address of another file in the same directory. */
export function neighbour(url: string, name: string): string {
  const plain = withoutQuery(url);
  return plain.slice(0, plain.length - lastComponent(url).length) + name;
}

/** Characters that are not escaped in the names of kept downloads. */
const PLAIN = /[^\x21-\x7e]|[/.#"'\\]/g;

/** Escapes an address, which is ASCII, or a tag, which has one character for each byte of the header. */
function escapeName(text: string): string {
  return text.replace(PLAIN, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

function unescapeName(text: string): string {
  return text.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

const LONGEST_PATH = 240;
const HASH_DIGITS = 16;
const LONGEST_NAME = 255;
const LONGEST_SIDE_SUFFIX = ".roothash.p7s".length;

export interface CacheNames {
  /** The prefix of the name: ".tar-" or ".raw-". */
  readonly prefix: string;
  /** The suffix of the name: "" or ".raw". */
  readonly suffix: string;
}

/**
 * Returns the name of a kept download, without its suffix. The length of `rootPath` counts towards the maximum length
 * of a path.
 */
export function cacheStem(rootPath: string, url: string, etag: string | null, { prefix, suffix }: CacheNames): string {
  const tag = etag === null ? "" : `.${escapeName(etag)}`;
  const stem = `${prefix}${escapeName(url)}${tag}`;
  if (rootPath.length + 1 + stem.length + suffix.length < LONGEST_PATH) return stem;
  const short = `${hashedStem(url, prefix)}${tag}`;
  // A tag that is too long for a name is not kept: the next call downloads the file again.
  return short.length + LONGEST_SIDE_SUFFIX <= LONGEST_NAME ? short : hashedStem(url, prefix);
}

function hashedStem(url: string, prefix: string): string {
  return prefix + new Bun.CryptoHasher("sha256").update(url).digest("hex").slice(0, HASH_DIGITS);
}

/** Returns the tags of the kept downloads of an address, from the names in the directory of images. */
export function cachedTags(names: readonly string[], url: string, cache: CacheNames): string[] {
  const starts = [`${cache.prefix}${escapeName(url)}.`, `${hashedStem(url, cache.prefix)}.`];
  return names.flatMap((name) => {
    const start = starts.find((one) => name.startsWith(one));
    if (start === undefined || !name.endsWith(cache.suffix)) return [];
    const tag = name.slice(start.length, name.length - cache.suffix.length);
    return tag === "" || tag.includes(".") ? [] : [unescapeName(tag)];
  });
}
