// The form of comments.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { TOP } from "../lib/run-tests.ts";

const MOST_COLUMNS = 120;
const SOURCE = /\.(ts|mjs|cjs|c|h)$/;
/** Scripts, units and services of the bus: files whose comments begin with "#". */
const SCRIPT = /\.(sh|py|zsh|service|socket|timer|slice|target)$|\/(bed|smoke|prerm|postrm|postinst|preinst)$/;

test(`no line of a comment in src, install and test is longer than ${MOST_COLUMNS} columns`, () => {
  const files = ["src", "install", "test"].flatMap((folder) =>
    readdirSync(join(TOP, folder), { recursive: true, encoding: "utf8" })
      .filter((name) => SOURCE.test(name) || SCRIPT.test(name))
      .map((name) => join(folder, name)),
  );
  expect(files.length).toBeGreaterThan(500);
  const long = files.flatMap((file) =>
    readFileSync(join(TOP, file), "utf8")
      .split("\n")
      .flatMap((line, index) =>
        (SCRIPT.test(file) ? /^ *#/ : /^ *(\/\/|\*|\/\*)/).test(line) && [...line].length > MOST_COLUMNS
          ? [`${file}:${index + 1}`]
          : [],
      ),
  );
  expect(long).toEqual([]);
});
