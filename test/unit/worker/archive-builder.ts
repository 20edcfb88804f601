// Tar archives made byte by byte, so that tests can make invalid ones that tar programs do not.

export interface BuiltMember {
  readonly name: string;
  readonly type?: string;
  readonly target?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly data?: string | Buffer;
  /** The value of the size field, where that is not the length of the data. */
  readonly size?: number | Buffer;
  readonly device?: readonly [major: number, minor: number];
  /** Written before the entry as a pax header. */
  readonly pax?: Readonly<Record<string, string | Buffer>>;
  readonly magic?: string;
  readonly prefix?: string;
}

const BLOCK = 512;

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}

export function paxRecord(key: string, value: string | Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
  let length = rest.length + 1;
  while (`${length}`.length + rest.length !== length) length = `${length}`.length + rest.length;
  return Buffer.concat([Buffer.from(`${length}`), rest]);
}

export function header(member: BuiltMember, dataBytes: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (at: number, size: number, value: number) =>
    block.write(`${value.toString(8).padStart(size - 1, "0")}\0`, at, "latin1");
  block.write(member.name, 0, 100, "latin1");
  octal(100, 8, member.mode ?? 0o644);
  octal(108, 8, member.uid ?? 0);
  octal(116, 8, member.gid ?? 0);
  if (typeof member.size === "object") member.size.copy(block, 124);
  else octal(124, 12, member.size ?? dataBytes);
  octal(136, 12, member.mtime ?? 1_000_000_000);
  block.write(member.type ?? "0", 156, "latin1");
  block.write(member.target ?? "", 157, 100, "latin1");
  block.write(member.magic ?? "ustar\x0000", 257, "latin1");
  octal(329, 8, member.device?.[0] ?? 0);
  octal(337, 8, member.device?.[1] ?? 0);
  if (member.prefix !== undefined) block.write(member.prefix, 345, "latin1");
  return withSum(block);
}

/** Writes the correct checksum into a header. */
export function withSum(block: Buffer): Buffer {
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

export function member(one: BuiltMember): Buffer {
  const data = Buffer.from(one.data ?? "");
  const parts = [header(one, data.length), padded(data)];
  if (one.pax !== undefined) {
    const content = Buffer.concat(Object.entries(one.pax).map(([key, value]) => paxRecord(key, value)));
    parts.unshift(header({ name: "pax", type: "x" }, content.length), padded(content));
  }
  return Buffer.concat(parts);
}

export const END = Buffer.alloc(2 * BLOCK);

/** An archive of these members, with its end marker. */
export function archive(...members: readonly (BuiltMember | Buffer)[]): Buffer {
  return Buffer.concat([...members.map((one) => (Buffer.isBuffer(one) ? one : member(one))), END]);
}
