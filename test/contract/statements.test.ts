// docs/statements.md explains every id of a statement that a test names, and no other.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { TOP } from "../lib/run-tests.ts";

const ID = /\b[MCIV]\d{1,3}\b/g;
/** Rules of POSIX time zones (`M10.5.0`) look like ids; version numbers do, too. */
const LOOKALIKE = /\b[MCIV]\d+\.\d[\d.]*/g;

function numerically(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/** The ids that the tests, their helpers and probes name, without recordings, inputs of the fuzzer, and the manual. */
function namedIds(): string[] {
  const names = readdirSync(join(TOP, "test"), { recursive: true, encoding: "utf8" });
  const files = names.filter((name) => /(\.(ts|py|sh)|\/[^.]+)$/.test(name) && !/recordings\/|corpus\//.test(name));
  const texts = files
    .map((name) => join(TOP, "test", name))
    .filter((path) => statSync(path).isFile())
    .map((path) => readFileSync(path, "utf8").replace(LOOKALIKE, ""));
  return [...new Set(texts.flatMap((text) => text.match(ID) ?? []))].sort(numerically);
}

/** The rows of the document's tables: id and sentence, in the document's order. */
function rows(): [id: string, sentence: string][] {
  const text = readFileSync(join(TOP, "docs/statements.md"), "utf8");
  return [...text.matchAll(/^\| ([MCIV]\d+) +\| (.*?) +\|$/gm)].map(([, id = "", sentence = ""]) => [id, sentence]);
}

test("docs/statements.md has one row for each id that a test names, and no other", () => {
  const ids = rows().map(([id]) => id);
  expect(ids.toSorted(numerically)).toEqual(namedIds());
});

test("docs/statements.md explains each id in a sentence of its own, in order", () => {
  const explained = rows();
  for (const prefix of "MCIV") {
    const ids = explained.map(([id]) => id).filter((id) => id.startsWith(prefix));
    expect(ids).toEqual(ids.toSorted(numerically));
  }
  const sentences = explained.map(([, sentence]) => sentence);
  expect(sentences.filter((sentence) => !/^\S.{15,}\.`?$/.test(sentence))).toEqual([]);
  expect(new Set(sentences).size).toBe(sentences.length);
});
