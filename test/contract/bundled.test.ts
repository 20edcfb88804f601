// The packages in the executable, as the bundler reports them: each one is listed in THIRD-PARTY-NOTICES.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../install/build.ts";
import { copyright } from "../../install/release/deb/copyright.ts";
import { notices } from "../../install/release/notices/notices.ts";
import type { Metafile } from "../../install/release/notices/npm-parts.ts";
import { allParts } from "../../install/release/notices/parts.ts";
import { TOP } from "../lib/run-tests.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

/**
 * Known packages. Before a new one is added here, its licence is checked, and which other code it contains (CARRIED).
 */
const KNOWN = [
  ...[
    "@nats-io/jetstream",
    "@nats-io/kv",
    "@nats-io/nats-core",
    "@nats-io/nkeys",
    "@nats-io/nuid",
    "@nats-io/transport-node",
  ],
  ...["citty", "consola", "dbus-next", "jsbi", "openpgp", "tweetnacl"],
];

const scratch = mkdtempSync(join(tmpdir(), "machined-bundled-"));

afterAll(() => rmSync(scratch, { recursive: true }));

test(
  "every package in the executable is known and has a notice with its licence",
  () => {
    const file = join(scratch, "metafile.json");
    build(join(scratch, "machined"), { metafile: file });
    const metafile = JSON.parse(readFileSync(file, "utf8")) as Metafile;
    const compiler = { compiler: "1", libc: "1" };
    const parts = allParts({ top: TOP, metafile, versions: process.versions, compiler });
    const packages = parts.filter(({ purl }) => purl?.startsWith("pkg:npm/"));
    expect(packages.map(({ name }) => name).sort()).toEqual(KNOWN);
    const text = notices("1", parts);
    const debian = copyright(readFileSync(join(TOP, "LICENSE"), "utf8"), parts);
    for (const { name, version, ownText } of packages) {
      expect(text).toContain(`\n${name} ${version}\n`);
      expect(text).toContain((ownText ?? "missing").trimEnd());
      expect(debian).toContain(`Files: bundled/${name.toLowerCase().replaceAll(/[^a-z0-9.]+/g, "-")}/*\n`);
    }
  },
  GUARD_MS,
);
