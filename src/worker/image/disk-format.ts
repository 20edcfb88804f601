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
];

/** Returns the format of a disk image that is neither raw nor qcow2; null for all others. */
export function foreignFormat(file: Fd): string | null {
  const { size } = statFd(file);
  const found = FORMATS.find(({ mark, at }) => {
    const position = at < 0 ? size + at : at;
    if (position < 0) return false;
    const bytes = Buffer.alloc(mark.length);
    return readSync(file.number, bytes, 0, mark.length, position) === mark.length && bytes.equals(mark);
  });
  return found?.name ?? null;
}

/** Shorter files have no room for the mark of a format. systemd takes none of them for an image either. */
const LEAST_BYTES = 4;

/** Returns whether a file may be a raw or qcow2 image: it has content, in no other known format. */
export function mayBeDisk(file: Fd): boolean {
  return statFd(file).size >= LEAST_BYTES && foreignFormat(file) === null;
}

/**
 * Throws ENODATA for a file that is empty or nearly so, and EOPNOTSUPP for a disk image in a format that no machine
 * starts from, with the command that converts it.
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
  const name = foreignFormat(file);
  if (name === null) return;
  const text = `Image is a ${name} disk image, not a raw or QCOW2 one. "qemu-img convert -O raw" makes a raw one of it.`;
  throw new ErrnoError("EOPNOTSUPP", text);
}
