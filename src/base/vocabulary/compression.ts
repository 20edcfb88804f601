// The formats that images are compressed with: their names in options and interfaces, the endings of file names that ask
// for them, and the bytes that streams of them begin with.

interface Format {
  /** The ending of a compressed file; empty for none. */
  readonly suffix: string;
  /** The first bytes of a stream, in hexadecimal; empty for none. */
  readonly magic: string;
}

const FORMATS = {
  uncompressed: { suffix: "", magic: "" },
  xz: { suffix: ".xz", magic: "fd377a585a00" },
  gzip: { suffix: ".gz", magic: "1f8b" },
  bzip2: { suffix: ".bz2", magic: "425a68" },
  zstd: { suffix: ".zst", magic: "28b52ffd" },
  lz4: { suffix: ".lz4", magic: "04224d18" },
} as const satisfies Record<string, Format>;

export type Compression = keyof typeof FORMATS;

/** The names, in the order in which they are listed to people. */
export const COMPRESSIONS = Object.keys(FORMATS) as readonly Compression[];

/** Those that layers of container images have: every reader knows them. The first is used unless another is wanted. */
export const LAYER_COMPRESSIONS = ["gzip", "zstd"] as const satisfies readonly Compression[];
export type LayerCompression = (typeof LAYER_COMPRESSIONS)[number];

const COMPRESSED = (Object.entries(FORMATS) as [Compression, Format][]).filter(([, { suffix }]) => suffix !== "");
const SUFFIXES: readonly (readonly [suffix: string, Compression])[] = [
  ...COMPRESSED.map(([name, { suffix }]) => [suffix, name] as const),
  [".tgz", "gzip"],
];

/** The first bytes of each format that has any. */
export const COMPRESSION_MAGIC: readonly (readonly [Compression, Buffer])[] = COMPRESSED.map(
  ([name, { magic }]) => [name, Buffer.from(magic, "hex")] as const,
);

/** The compression of that name; undefined for an unknown name. */
export function parseCompression(name: string): Compression | undefined {
  return COMPRESSIONS.find((known) => known === name);
}

/** The compression that a file name asks for. */
export function compressionOfName(name: string): Compression {
  return SUFFIXES.find(([suffix]) => name.endsWith(suffix))?.[1] ?? "uncompressed";
}

const PACKED = COMPRESSED.map(([, { suffix }]) => suffix.slice(1)).join("|");
const TAR_SUFFIX = new RegExp(`\\.(tar|tar\\.(${PACKED})|tgz)$`);
const RAW_SUFFIX = new RegExp(`\\.(${PACKED}|sysext\\.raw|confext\\.raw|raw|qcow2|img|bin)$`);

/** A file name without the endings that say how an image is packed: the image name that it suggests. */
export function withoutImageSuffix(name: string, kind: "tar" | "raw"): string {
  if (kind === "tar") return name.replace(TAR_SUFFIX, "");
  let rest = name;
  while (RAW_SUFFIX.test(rest)) rest = rest.replace(RAW_SUFFIX, "");
  return rest;
}
