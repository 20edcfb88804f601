// 128-bit ids (machine-id(5)): 16 bytes, written as 32 lower-case hex digits.

/** 16 bytes, never all zero; the null id is represented as `null`. */
export type Id128 = Uint8Array & { readonly __id128?: never };

const HEX = /^[0-9a-fA-F]{32}$/;
const UUID = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/;

function isNull(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/**
 * Converts bytes of a message. Returns `null` for no or all-zero bytes, `undefined` for a length other than 0 and 16.
 */
export function idFromBytes(bytes: Uint8Array): Id128 | null | undefined {
  if (bytes.length === 0) return null;
  if (bytes.length !== 16) return undefined;
  return isNull(bytes) ? null : new Uint8Array(bytes);
}

/** Parses 32 hex digits or a UUID with hyphens. Returns `null` for all zeros, `undefined` for any other text. */
export function parseId(text: string): Id128 | null | undefined {
  if (!HEX.test(text) && !UUID.test(text)) return undefined;
  const hex = text.replaceAll("-", "");
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 16; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16);
  return isNull(bytes) ? null : bytes;
}

/** Returns 32 lower-case hex digits; 32 zeros for `null`. */
export function formatId(id: Uint8Array | null): string {
  if (id === null || id.length === 0) return "0".repeat(32);
  let text = "";
  for (const byte of id) text += byte.toString(16).padStart(2, "0");
  return text;
}
