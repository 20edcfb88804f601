// The guides in a release: a user of the package finds them where manual pages say.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { GUIDES, guidesBelow } from "../../../install/release/documents.ts";

const TOP = join(import.meta.dir, "../../..");
const MANUALS = join(TOP, "install/man");

test("every guide that a manual page names exists and is in a release", () => {
  const texts = readdirSync(MANUALS).map((name) => readFileSync(join(MANUALS, name), "utf8"));
  const named = texts.flatMap((text) =>
    [...text.matchAll(/(?:docs|doc\/machined)\/([a-z-]+\.md)/g)].map(([, name]) => name),
  );
  expect(new Set(named)).toEqual(new Set(["fleet.md", "json.md", "metrics.md"]));
  for (const name of named) expect(GUIDES).toContain(name as string);
  const files = guidesBelow("/usr/share/doc/machined");
  expect(files["/usr/share/doc/machined/fleet.md"]?.toString()).toStartWith("# Many hosts over NATS\n");
});
