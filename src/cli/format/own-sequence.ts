// Which control characters on a terminal are ours. Text of a daemon, a machine or a file has none that get there: Output
// writes them as `\x1b`. What we send ourselves (colours, links, the end of a raw line) is marked by `own()`, with a number
// that no sender of text can know, and is replaced by the sequence on output.
import { withoutControls } from "../../base/control-characters.ts";

const MARK = `\u{FDD0}${crypto.randomUUID().slice(0, 18)}`;
const MARKED = new RegExp(`${MARK}([0-9a-f]{2})`, "g");
const CONTROLS = /\p{Cc}/gu;
/** Colours, as programs whose output we pass on print them: Select Graphic Rendition. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is the escape character that is looked for
const COLOURS = /\u001b\[[0-9;:]*m/g;

/** A text of ours that may control the terminal. */
export function own(sequence: string): string {
  return sequence.replace(CONTROLS, (character) => MARK + character.charCodeAt(0).toString(16).padStart(2, "0"));
}

/** The text of a program of this host, whose colours are kept. */
export function withColours(text: string): string {
  return text.replace(COLOURS, own);
}

/** A text as it is written: without anybody's control characters but our own, newlines and tabs. */
export function asWritten(text: string): string {
  return withoutControls(text).replace(MARKED, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
