// Keeps foreign control characters off the terminal. Text from a daemon, a machine or a file must not control it, so
// Output prints all control characters escaped (`\x1b`). The client's own sequences (colours, links, the end of a line
// on a raw terminal) are encoded by `own()` with a random mark, which no sender of text can know, and decoded on
// output.

import { lazy } from "../../base/lazy.ts";
import { withoutControls } from "../../base/text/control-characters.ts";

const mark = lazy(() => {
  isMarked = true;
  return `\u{FDD0}${crypto.randomUUID().slice(0, 18)}`;
});
const marked = lazy(() => new RegExp(`${mark()}([0-9a-f]{2})`, "g"));
/** Whether anything has been marked: most output has no colours. */
let isMarked = false;
const CONTROLS = /\p{Cc}/gu;
/** Colours in the output of other programs: the escape sequence "Select Graphic Rendition" (console_codes(4)). */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is the escape character that is looked for
const COLOURS = /\u001b\[[0-9;:]*m/g;

/** Encodes the control characters of a sequence that this client makes itself, so that asWritten() lets them pass. */
export function own(sequence: string): string {
  return sequence.replace(CONTROLS, (character) => mark() + character.charCodeAt(0).toString(16).padStart(2, "0"));
}

/** The character before each entry of a JSON text sequence (RFC 7464). It cannot be part of JSON. */
const RECORD_SEPARATOR = "\u001e";

/** Marks the separators of entries in the output of a program of this host, so that asWritten() lets them pass. */
export function withSeparators(text: string): string {
  return text.replaceAll(RECORD_SEPARATOR, own(RECORD_SEPARATOR));
}

/** The colour sequences after which nothing is coloured. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is the escape character that is looked for
const NORMAL = /^\u001b\[[0;]*m$/;
const TO_NORMAL = "\u001b[0m";

/**
 * Marks the colours in the output of a program of this host, so that asWritten() lets them pass. Each line ends without
 * colour: it may be a line of a machine or of another host, and must not colour or hide those of others.
 */
export function withColours(text: string): string {
  if (text.search(COLOURS) < 0) return text;
  return text.split("\n").map(lineWithColours).join("\n");
}

function lineWithColours(line: string): string {
  const last = line.match(COLOURS)?.at(-1);
  if (last === undefined) return line;
  return line.replace(COLOURS, own) + (NORMAL.test(last) ? "" : own(TO_NORMAL));
}

/**
 * Returns a text as it is printed: marked sequences decoded, other control characters escaped except newline and tab.
 */
export function asWritten(text: string): string {
  const plain = withoutControls(text);
  if (!isMarked) return plain;
  return plain.replace(marked(), (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
