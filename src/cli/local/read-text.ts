// Text of a program's output, which comes in pieces that end anywhere.

/**
 * Reads UTF-8 to its end; calls `take` with each piece of text. A character that is cut by the end is U+FFFD, as other
 * invalid bytes are.
 */
async function readText(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
  const last = decoder.decode();
  if (last !== "") take(last);
}

/** The largest length of a line, in characters; a longer one is taken in pieces. */
const LINE_LIMIT = 64 << 10;

/**
 * Reads UTF-8 to its end; calls `take` with texts of whole lines. The last line may have no newline; nor has a piece of
 * a line that is too long.
 */
export async function readLines(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
  let rest = "";
  await readText(stream, (text) => {
    const whole = rest + text;
    const end = whole.lastIndexOf("\n") + 1;
    const taken = whole.length - end > LINE_LIMIT ? whole.length : end;
    rest = whole.slice(taken);
    if (taken > 0) take(whole.slice(0, taken));
  });
  if (rest !== "") take(rest);
}

/** Splits a text into lines, which keep their newlines. */
export function linesOf(text: string): string[] {
  return text.split(/(?<=\n)/);
}
