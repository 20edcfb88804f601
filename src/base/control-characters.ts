// Control characters in text that somebody else wrote: they move the cursor, set titles and colours, and worse.
// Written as what they are, `\x1b`; a reader sees that something is there.

/** All but newline and tab. */
const OTHER_CONTROLS = /[^\P{Cc}\n\t]/gu;
const ALL_CONTROLS = /\p{Cc}/gu;

function escaped(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** The text with its lines and tabs, and no other control characters. */
export function withoutControls(text: string): string {
  return text.replace(OTHER_CONTROLS, escaped);
}

/** The text as one line without control characters. */
export function onOneLine(text: string): string {
  return text.replace(ALL_CONTROLS, escaped);
}
