// The compression formats of images: their names in options and interfaces, the file name suffixes that select them,
// and the magic bytes of their streams.

interface Format {
  /** The suffix of a compressed file; empty for none. */
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

/** The names, in the order in which they are shown to users. */
export const COMPRESSIONS = Object.keys(FORMATS) as readonly Compression[];

/** The formats for layers of container images, which all registries' clients can read. The first is the default. */
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

/** Returns the compression of that name; undefined for an unknown name. */
export function parseCompression(name: string): Compression | undefined {
  return COMPRESSIONS.find((known) => known === name);
}

/** Returns the compression that the suffix of a file name selects; "uncompressed" for others. */
export function compressionOfName(name: string): Compression {
  return SUFFIXES.find(([suffix]) => name.endsWith(suffix))?.[1] ?? "uncompressed";
}

const PACKED = COMPRESSED.map(([, { suffix }]) => suffix.slice(1)).join("|");
const TAR_SUFFIX = new RegExp(`\\.(tar|tar\\.(${PACKED})|tgz)$`);
const RAW_SUFFIX = new RegExp(`\\.(${PACKED}|sysext\\.raw|confext\\.raw|raw|qcow2|img|bin)$`);

/** Returns the image name that a file name suggests: without the suffixes of archives, disk images and compression. */
export function withoutImageSuffix(name: string, kind: "tar" | "raw"): string {
  if (kind === "tar") return name.replace(TAR_SUFFIX, "");
  let rest = name;
  while (RAW_SUFFIX.test(rest)) rest = rest.replace(RAW_SUFFIX, "");
  return rest;
}
