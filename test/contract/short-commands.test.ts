// What short commands and workers load: a module that is not needed costs each of them time.
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { TOP } from "../lib/run-tests.ts";

const transpiler = new Bun.Transpiler({ loader: "ts" });

/** Returns a file and all that its static imports load. What `import()` names is loaded later. */
function loadedWith(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  for (const { kind, path } of transpiler.scanImports(readFileSync(file, "utf8"))) {
    if (kind === "import-statement" && path.endsWith(".ts")) loadedWith(join(dirname(file), path), found);
  }
  return found;
}

for (const client of ["src/ipc/plain/client.ts", "src/ipc/varlink/plain.ts", "src/cli/program/machinectl.ts"]) {
  test(`${client} makes calls without loading the system calls of the kernel layer`, () => {
    const files = [...loadedWith(join(TOP, client))].map((file) => relative(TOP, file));
    expect(files.length).toBeGreaterThan(5);
    expect(files.filter((file) => /^src\/kernel\/syscall\//.test(file))).toEqual([]);
  });
}

for (const worker of ["copy-files", "bind-mount", "open-in-machine"]) {
  test(`the worker ${worker} makes system calls without loading modules of Node`, () => {
    const files = [...loadedWith(join(TOP, `src/worker/operations/${worker}.ts`))];
    expect(files.length).toBeGreaterThan(5);
    const imports = files.flatMap((file) => transpiler.scanImports(readFileSync(file, "utf8")));
    expect(imports.map(({ path }) => path).filter((path) => path.startsWith("node:"))).toEqual([]);
  });
}
