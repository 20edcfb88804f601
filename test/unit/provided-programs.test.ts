// The programs that test/run.ts installs before the first test.
import { expect } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootTest } from "../kernel/support.ts";
import { TOP } from "../lib/run-tests.ts";

const PROVIDE = `
import { provideTestPrograms } from ${JSON.stringify(join(TOP, "test/lib/host-suite.ts"))};
console.log(JSON.stringify(await provideTestPrograms()));
process.exit(0);
`;

/** It knows all packages but one, and installs a program of the package's name. */
const APT_GET = `#!/bin/sh
while [ "$1" != install ]; do [ "$1" != update ] || exit 0; shift; done; shift
for name; do [ "$name" != umoci ] || { echo "E: Unable to locate package $name"; exit 100; }; done
for name; do /bin/cp /bin/true "$PATH/$name"; done
`;

rootTest("a package that a release of the distribution lacks does not keep the others from being installed", () => {
  const directory = mkdtempSync(join(tmpdir(), "machined-provided-"));
  try {
    writeFileSync(join(directory, "apt-get"), APT_GET, { mode: 0o755 });
    const run = Bun.spawnSync([process.execPath, "-e", PROVIDE], { env: { PATH: directory } });
    const missing = JSON.parse(run.stdout.toString().trim().split("\n").at(-1) ?? "") as string[];
    expect(missing).toContain("umoci");
    for (const name of ["bzip2", "strace", "zstd"]) expect(missing).not.toContain(name);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
