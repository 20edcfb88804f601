// The file format of gpg's own keyrings: records with a key each, and an index of its names and ids, which is not used
// here. `gpg --keyring FILE --import` makes such a file, whatever its name is.

const MAGIC = "KBXf";
const MAGIC_OFFSET = 8;
/** Length, type, version, flags, offset of the key, length of the key: numbers are big-endian. */
const RECORD_HEADER_BYTES = 16;
const OPENPGP_RECORD = 2;
/** The flag of records that gpg keeps for itself only, as a cache: they are not part of the ring. */
const EPHEMERAL = 2;

export function isKeybox(file: Buffer): boolean {
  return file.toString("latin1", MAGIC_OFFSET, MAGIC_OFFSET + MAGIC.length) === MAGIC;
}

/** Returns the keys, as OpenPGP packets. Throws where a record is damaged. */
export function keysInKeybox(file: Buffer): Buffer {
  const keys: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const record = recordAt(file, at);
    if (record[4] === OPENPGP_RECORD && (record.readUInt16BE(6) & EPHEMERAL) === 0) keys.push(keyIn(record));
    at += record.length;
  }
  return Buffer.concat(keys);
}

function recordAt(file: Buffer, at: number): Buffer {
  const length = file.length - at < 4 ? 0 : file.readUInt32BE(at);
  if (length < 5 || length > file.length - at) throw new Error(`The keybox has a damaged record at byte ${at}`);
  return file.subarray(at, at + length);
}

function keyIn(record: Buffer): Buffer {
  const hasHeader = record.length >= RECORD_HEADER_BYTES;
  const [offset, length] = hasHeader ? [record.readUInt32BE(8), record.readUInt32BE(12)] : [0, 0];
  if (offset < RECORD_HEADER_BYTES || offset + length > record.length)
    throw new Error("The keybox has a record without its key");
  return record.subarray(offset, offset + length);
}
