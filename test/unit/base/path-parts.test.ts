import { expect, test } from "bun:test";
import { basename, dirname } from "node:path";
import { lastNameOf, parentOf } from "../../../src/base/path-parts.ts";

test("the parts of an absolute path are those of node:path", () => {
  for (const path of ["/", "/a", "/a/b", "/a/..", "/a b/c.d", "/a\n/\u{10ffff}", "/.."]) {
    expect([path, parentOf(path), lastNameOf(path)]).toEqual([path, dirname(path), basename(path)]);
  }
});
