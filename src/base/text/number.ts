// Numbers as the systemd tools read them from the command line: strtoul(3) in any base, which their prefixes choose.

const DIGITS = /^[ \t\n\r]*(\+|-)?(?:0x([0-9a-f]+)|0b([01]+)|0o([0-7]+)|0([0-7]+)|(0|[1-9][0-9]*))$/i;

/**
 * Parses an unsigned 32-bit number: decimal, 0x for hexadecimal, 0b for binary, 0o or 0 for octal; blanks and a plus
 * may be before it. Returns undefined for other text.
 */
export function parseUnsigned(text: string): number | undefined {
  const [, sign, hexadecimal, binary, octal, oldOctal, decimal] = DIGITS.exec(text) ?? [];
  const digits = hexadecimal ?? binary ?? octal ?? oldOctal ?? decimal;
  if (digits === undefined) return undefined;
  const base = hexadecimal !== undefined ? 16 : binary !== undefined ? 2 : decimal !== undefined ? 10 : 8;
  const number = Number.parseInt(digits, base);
  return number <= 0xffff_ffff && (sign !== "-" || number === 0) ? number : undefined;
}
