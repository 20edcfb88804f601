// Comments and documents name files of this project; when a file is moved or renamed, its mentions have to be changed.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TOP } from "../lib/run-tests.ts";

const FOLDERS = ["src", "install", "test", "docs", "examples"];
/** Recordings of other programs, and the fuzzer's corpus, which is no text. */
const FOREIGN = /^test\/(contract\/recordings|fuzz\/corpus)\//;
const TEXTS = /\.(ts|mjs|c|py|sh|md|in)$/;
/** A name with one of the project's endings, with or without folders; or a path below one of its folders. */
const NAME = /(?<![\w$*{}<~/.:-])(?:\.{0,2}\/)*(?:[\w-]+\/)*[\w.-]+\.(?:ts|mjs|c|py|md)\b(?![\w*(./-])/g;
const PATH = /(?<![\w$*{}<~/.:-])(?:src|install|test|docs)\/[\w./-]*[\w-](?![\w*<{$])/g;
/**
 * Names that only look like files of the project: CONTRIBUTING.md's example, documents of systemd and QEMU, a
 * placeholder.
 */
const NOT_OURS = new Set([
  "src/cli/machine/whoami.ts",
  "../machine/whoami.ts",
  "UIDS-GIDS.md",
  "docs/interop/qcow2.rst",
  "test/fuzz/corpus/TARGET",
]);

function filesOf(folder: string): string[] {
  return readdirSync(join(TOP, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name));
}

/** Every file and folder of the project, by its path and by each end of its path. */
function knownNames(files: readonly string[]): Set<string> {
  const known = new Set<string>();
  for (const file of files) {
    const parts = file.split("/");
    for (let from = 0; from < parts.length; from++) known.add(parts.slice(from).join("/"));
  }
  return known;
}

/** The part of a line that is a comment; a document counts as a comment as a whole. */
function commentOf(file: string, line: string): string {
  if (file.endsWith(".md")) return line;
  return /(?:^|\s)(?:\/\/|\/?\*+|#)\s(.*)/.exec(line)?.[1] ?? "";
}

function mentionsIn(comment: string): string[] {
  return [...comment.matchAll(NAME), ...comment.matchAll(PATH)].map(([name]) => name);
}

test("every file that a comment or a document names exists", () => {
  const files = FOLDERS.flatMap(filesOf);
  const documents = readdirSync(TOP).filter((name) => name.endsWith(".md"));
  const known = knownNames([...files, ...documents, ...FOLDERS]);
  const isKnown = (name: string): boolean => known.has(name.replace(/^(\.{1,2}\/)+/, "")) || NOT_OURS.has(name);
  const texts = [...files, ...documents].filter((file) => TEXTS.test(file) && !FOREIGN.test(file));
  expect(texts.length).toBeGreaterThan(500);
  const wrong = texts.flatMap((file) =>
    readFileSync(join(TOP, file), "utf8")
      .split("\n")
      .flatMap((line, index) =>
        mentionsIn(commentOf(file, line))
          .filter((name) => !isKnown(name))
          .map((name) => `${file}:${index + 1}: ${name}`),
      ),
  );
  expect(wrong).toEqual([]);
});
