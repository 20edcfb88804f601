// Text of a program's output, which comes in pieces that end anywhere.

/** Takes a text. No more is read until it is done. */
type Take = (text: string) => void | Promise<void>;

/**
 * Reads UTF-8 to its end; calls `take` with each piece of text. A character that is cut by the end is U+FFFD, as other
 * invalid bytes are.
 */
async function readText(stream: ReadableStream<Uint8Array>, take: Take): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) await take(decoder.decode(chunk, { stream: true }));
  const last = decoder.decode();
  if (last !== "") await take(last);
}

/** The largest length of a line, in characters; a longer one is taken in pieces. */
const LINE_LIMIT = 64 << 10;

/**
 * Reads UTF-8 to its end; calls `take` with texts of whole lines. The last line may have no newline; nor has a piece of
 * a line that is too long.
 */
export async function readLines(stream: ReadableStream<Uint8Array>, take: Take): Promise<void> {
  let rest = "";
  await readText(stream, (text) => {
    const whole = rest + text;
    const end = whole.lastIndexOf("\n") + 1;
    const taken = whole.length - end > LINE_LIMIT ? whole.length : end;
    rest = whole.slice(taken);
    return taken > 0 ? take(whole.slice(0, taken)) : undefined;
  });
  if (rest !== "") await take(rest);
}

/** Splits a text into lines, which keep their newlines. */
export function linesOf(text: string): string[] {
  return text.split(/(?<=\n)/);
}
