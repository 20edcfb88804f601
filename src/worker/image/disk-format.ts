// Files that are no disk image to start a machine from: empty ones, and formats that are neither raw nor qcow2,
// recognized by their magic bytes. Imported as a raw image, such a file would not boot, without a visible reason.
import { readSync } from "node:fs";
import { ErrnoError } from "../../base/error.ts";
import { type Fd, statFd } from "../../kernel/file/fd.ts";

interface Format {
  readonly name: string;
  readonly mark: Buffer;
  /** The offset of the magic bytes; counted from the end where it is negative. */
  readonly at: number;
  /** Whether it is an archive, or data of a compression that is not known, with a disk image in it at most. */
  readonly isPacked?: true;
}

const VHD_MARK = Buffer.from("conectix");

const FORMATS: readonly Format[] = [
  { name: "VMDK", mark: Buffer.from("KDMV"), at: 0 },
  { name: "VMDK", mark: Buffer.from("COWD"), at: 0 },
  { name: "VMDK", mark: Buffer.from("# Disk DescriptorFile"), at: 0 },
  { name: "VHD", mark: VHD_MARK, at: 0 },
  { name: "VHD", mark: VHD_MARK, at: -512 },
  { name: "VHDX", mark: Buffer.from("vhdxfile"), at: 0 },
  { name: "VDI", mark: Buffer.from("7f10dabe", "hex"), at: 64 },
  { name: "QED", mark: Buffer.from("QED\0"), at: 0 },
  { name: "Parallels", mark: Buffer.from("WithoutFreeSpace"), at: 0 },
  { name: "Parallels", mark: Buffer.from("WithouFreSpacExt"), at: 0 },
  { name: "Apple", mark: Buffer.from("koly"), at: -512 },
  packed("zip", "504b0304"),
  packed("7z", "377abcaf271c"),
  packed("rar", "526172211a07"),
  packed("lzip", "4c5a4950"),
  packed("lzop", "894c5a4f000d0a1a0a"),
  packed("compress", "1f9d90"),
  packed("lz4 (legacy)", "02214c18"),
  packed("tar", Buffer.from("ustar").toString("hex"), 257),
];

function packed(name: string, hex: string, at = 0): Format {
  return { name, mark: Buffer.from(hex, "hex"), at, isPacked: true };
}

/** Returns the format of a file that is known to be neither a raw nor a qcow2 image; null for all others. */
export function foreignFormat(file: Fd): string | null {
  return formatOf(file)?.name ?? null;
}

function formatOf(file: Fd): Format | null {
  const { size } = statFd(file);
  const found = FORMATS.find(({ mark, at }) => {
    const position = at < 0 ? size + at : at;
    if (position < 0) return false;
    const bytes = Buffer.alloc(mark.length);
    return readSync(file.number, bytes, 0, mark.length, position) === mark.length && bytes.equals(mark);
  });
  return found ?? null;
}

/** Shorter files have no room for the mark of a format. systemd takes none of them for an image either. */
const LEAST_BYTES = 4;

/** Returns whether a file may be a raw or qcow2 image: it has content, in no other known format. */
export function mayBeDisk(file: Fd): boolean {
  return statFd(file).size >= LEAST_BYTES && foreignFormat(file) === null;
}

/**
 * Throws ENODATA for a file that is empty or nearly so, and EOPNOTSUPP for a file in a format that no machine starts
 * from, with the command that converts it.
 */
export function requireDisk(file: Fd): void {
  const { size } = statFd(file);
  if (size === 0) {
    throw new ErrnoError("ENODATA", "Image is empty: the program or download that it is from has sent nothing.");
  }
  if (size < LEAST_BYTES) {
    throw new ErrnoError(
      "ENODATA",
      `Image has ${size} bytes only: the program or download that it is from was cut off.`,
    );
  }
  const format = formatOf(file);
  if (format === null) return;
  const { name, isPacked } = format;
  const text = isPacked
    ? `Image is ${name} data, not a raw or QCOW2 disk image. Unpack it first.`
    : `Image is a ${name} disk image, not a raw or QCOW2 one. "qemu-img convert -O raw" makes a raw one of it.`;
  throw new ErrnoError("EOPNOTSUPP", text);
}
