// Control characters in untrusted text: a terminal would execute them (cursor, title, colours, clipboard). They are
// replaced by a visible escape, `\x1b`.

/** All control characters but newline and tab. */
const OTHER_CONTROLS = /[^\P{Cc}\n\t]/gu;
const ALL_CONTROLS = /\p{Cc}/gu;

function escaped(character: string): string {
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** Returns the text with all control characters escaped except newline and tab. */
export function withoutControls(text: string): string {
  return text.replace(OTHER_CONTROLS, escaped);
}

/** Returns the text with all control characters escaped, newlines included: one line. */
export function onOneLine(text: string): string {
  return text.replace(ALL_CONTROLS, escaped);
}

/** The control characters that JSON may have unescaped. */
const BARE_IN_JSON = /[\u007f-\u009f]/g;

/** Returns a JSON text that stays valid where control characters are escaped: those that JSON allows are `\u009b`. */
export function jsonWithoutControls(json: string): string {
  return json.replace(BARE_IN_JSON, (character) => `\\u00${character.charCodeAt(0).toString(16)}`);
}
