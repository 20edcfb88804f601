// Documents are shipped without some of the files that they link to: such links become plain text.
import { readFileSync } from "node:fs";
import { join, normalize } from "node:path";
import { TOP } from "./project.ts";

/** A link of Markdown to a file: not to an address, nor to a heading of its own document. */
const LINK = /\[([^\]]*)\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g;

/**
 * Returns the content of a document of the project, by its path from the top, without links to files that are not in
 * `shipped`, paths of the same kind.
 */
export function shippedText(path: string, shipped: ReadonlySet<string>): string {
  const text = readFileSync(join(TOP, path), "utf8");
  return path.endsWith(".md") ? withoutDeadLinks(text, path, shipped) : text;
}

/** Returns the text of a document without its links to files that are not in `shipped`. */
export function withoutDeadLinks(text: string, path: string, shipped: ReadonlySet<string>): string {
  return text.replaceAll(LINK, (link, words: string, target: string) =>
    shipped.has(normalize(join(path, "..", target))) ? link : words,
  );
}
