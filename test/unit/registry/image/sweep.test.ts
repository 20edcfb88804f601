// What is done with the records of changes that are not finished.
import { expect } from "bun:test";
import { chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { sweepAll } from "../../../../src/registry/image/sweep.ts";
import { markOf } from "../../../../src/registry/image/unfinished.ts";
import { rootTest, scratchDirectory } from "../../../kernel/support.ts";

const scratch = scratchDirectory();
const NOBODY = 65534;

/** Whether a sweep carries out a record, of that owner, which says that a file elsewhere is to be removed. */
function isCarriedOut(owner: number): boolean {
  const [pool, elsewhere] = [join(scratch, `pool-${owner}`), join(scratch, `elsewhere-${owner}`)];
  for (const path of [pool, elsewhere]) mkdirSync(path);
  writeFileSync(join(elsewhere, "web.nspawn"), "");
  using directory = openPath(elsewhere, "directory");
  const companion = { directory: elsewhere, name: "web.nspawn", mark: markOf(directory, "web.nspawn"), newName: "" };
  const record = join(pool, ".#machined-0123456789abcdef.rest");
  writeFileSync(record, JSON.stringify({ image: "web", newPath: "", identity: "", companions: [companion] }));
  chownSync(record, owner, owner);
  sweepAll({ searchPath: [pool], hasHost: false, pool, locks: join(scratch, "run/locks"), settings: [] });
  expect(readdirSync(pool)).toEqual([]);
  return !existsSync(join(elsewhere, "web.nspawn"));
}

rootTest("a record of a change is carried out where this user made it, and only removed where another one did", () => {
  expect([isCarriedOut(0), isCarriedOut(NOBODY)]).toEqual([true, false]);
});
