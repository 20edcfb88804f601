// Whether layers can be stacked: the look at a large layer lets other work run, such as the end of the transfer.
import { afterAll, expect } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inNextTurn } from "../../../../src/base/next-turn.ts";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { setMark, YES } from "../../../../src/worker/oci/marks.ts";
import { standAlone } from "../../../../src/worker/oci/stack.ts";
import { NODE_MODE, tryMakeNode } from "../../../../src/worker/untar/calls.ts";
import { rootTest } from "../../../kernel/support.ts";

const scratch = mkdtempSync(join(tmpdir(), "stack-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Makes layers, the lowest first; the uppermost one has whiteouts in a directory. Returns their names. */
function makeLayers(pool: string, count: number, whiteouts: number, lowest: (path: string) => void): string[] {
  const names = Array.from({ length: count }, (_, index) => `layer${index}`);
  for (const name of names) mkdirSync(join(pool, name), { recursive: true });
  lowest(join(pool, "layer0"));
  const top = join(pool, `layer${count - 1}`);
  mkdirSync(join(top, "dir"));
  using directory = openPath(join(top, "dir"), "directory");
  for (let index = 0; index < whiteouts; index++) tryMakeNode(directory, `${index}`, NODE_MODE.character, 0, 0);
  using layer = openPath(top, "directory");
  setMark(layer, "incomplete", YES);
  return names;
}

rootTest("the whiteouts of a large layer are looked at in turns, over many layers below", async () => {
  const pool = join(scratch, "large");
  const names = makeLayers(pool, 50, 5000, (path) => mkdirSync(join(path, "dir")));
  using root = openPath(pool, "directory");
  let turns = 0;
  inNextTurn(() => void turns++);
  expect(await standAlone(root, names)).toBe(true);
  expect(turns).toBe(1);
});

rootTest("a whiteout in a directory that no layer below has makes a layer depend on them", async () => {
  for (const [name, lowest, wanted] of [
    ["there", (path: string) => mkdirSync(join(path, "dir")), true],
    ["missing", () => {}, false],
    ["a file", (path: string) => writeFileSync(join(path, "dir"), ""), false],
  ] as const) {
    const pool = join(scratch, name);
    const names = makeLayers(pool, 3, 2, lowest);
    using root = openPath(pool, "directory");
    expect([name, await standAlone(root, names)]).toEqual([name, wanted]);
  }
});
