// Characters in untrusted text that act on a terminal instead of being shown. Control characters are executed by it
// (cursor, title, colours, clipboard). Marks of text direction make it show other characters in another order, so that
// a line says something else than its text. They are replaced by a visible escape: `\x1b`, `\u202e`.

/**
 * Control characters (C0, DEL, C1) but newline and tab; the marks of direction, such as U+202E; the separators of lines
 * and paragraphs; format characters that Unicode advises against (U+206A to U+206F).
 */
const OTHER_CONTROLS = /[[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\u206a-\u206f]--[\n\t]]/gv;
const ALL_CONTROLS = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\u206a-\u206f]/gv;

function escaped(character: string): string {
  const code = character.charCodeAt(0).toString(16);
  return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
}

/** Returns the text with all control characters and marks of direction escaped except newline and tab. */
export function withoutControls(text: string): string {
  return text.replace(OTHER_CONTROLS, escaped);
}

/** Returns the text with all control characters and marks of direction escaped, newlines included: one line. */
export function onOneLine(text: string): string {
  return text.replace(ALL_CONTROLS, escaped);
}

/** Those of these characters that JSON may have unescaped. */
const BARE_IN_JSON = /[\u007f-\u009f\p{Bidi_Control}\p{Zl}\p{Zp}\u206a-\u206f]/gv;

/** Returns a JSON text with the same value, from which withoutControls() would take nothing: `\u009b`, `\u202e`. */
export function jsonWithoutControls(json: string): string {
  return json.replace(BARE_IN_JSON, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
