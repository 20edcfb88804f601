// A file exports only what other files use, so that everything else can be changed without reading them.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { TOP } from "../lib/run-tests.ts";

const FOLDERS = ["src", "install", "test"];
const EXPORT = /^export (?:declare )?(?:async )?(?:const|let|function\*?|class|interface|type) +(\w+)/gm;
/** `export const { a, b: c } = …` */
const EXPORT_MANY = /^export const \{([^}]*)\}/gm;
/** `export { a, type B as C } from …`: a re-export counts as an export of the file that has it. */
const EXPORT_FROM = /^export (?:type )?\{([^}]*)\} from/gm;
const IMPORT = /^(?:import|export) (?:type )?\{([^}]*)\} from "(\.[^"]+)"/gm;
const DYNAMIC = /(?:\{([^{}]*)\} = await )?(?:import|require)\(\s*"(\.[^"]+)"\s*\)(?:\s*\)\s*\.(\w+))?/g;
/** Scripts that tests write for other processes import by name as well; their paths are built at run time. */
const IN_SCRIPT = /^ +(?:import|const) \{([^{}]*)\} (?:from|= await import\()/gm;
const NAMESPACE = /^import (?:type )?\* as (\w+) from "(\.[^"]+)"/gm;
/** Stands for every export of a file that another one imports as a whole. */
const ALL = "*";

/** Only tests use it, to see whether all watches were stopped. */
const FOR_TESTS = ["src/kernel/event/poller.ts: watchCount"];

function sources(): Map<string, string> {
  const names = FOLDERS.flatMap((folder) =>
    readdirSync(join(TOP, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  );
  const files = names.filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"));
  return new Map(files.map((name) => [name, readFileSync(join(TOP, name), "utf8")]));
}

/** The names in braces, each as the exporting file has it: of `type A as B` and `a: b`, A and a. */
function namesIn(braces: string): string[] {
  const names = braces.split(",").map((part) => part.trim().replace(/^type /, ""));
  return names.map((part) => part.split(/ as |:/)[0] ?? "").filter((name) => name !== "");
}

function exportsOf(text: string): string[] {
  const many = [...text.matchAll(EXPORT_MANY)].flatMap(([, braces = ""]) =>
    braces.split(",").flatMap((part) => part.split(":").at(-1)?.trim() || []),
  );
  const reexports = [...text.matchAll(EXPORT_FROM)].flatMap(([, braces = ""]) =>
    braces.split(",").flatMap(
      (part) =>
        part
          .trim()
          .split(/ as | /)
          .at(-1) || [],
    ),
  );
  return [...text.matchAll(EXPORT)].map(([, name = ""]) => name).concat(many, reexports);
}

/** `FILE: NAME` for every import of a file, `FILE: *` where it loads another one as a whole, and NAME for a script. */
function importsOf(file: string, text: string): string[] {
  const of = (path: string, name: string) => `${normalize(join(dirname(file), path))}: ${name}`;
  const fixed = [...text.matchAll(IMPORT)].flatMap(([, braces = "", path = ""]) =>
    namesIn(braces).map((name) => of(path, name)),
  );
  const dynamic = [...text.matchAll(DYNAMIC)].flatMap(([, braces, path = "", member]) =>
    braces === undefined ? of(path, member ?? ALL) : namesIn(braces).map((name) => of(path, name)),
  );
  const spaces = [...text.matchAll(NAMESPACE)].flatMap(([, space = "", path = ""]) =>
    [...text.matchAll(new RegExp(`\\b${space}\\.(\\w+)`, "g"))].map(([, name = ""]) => of(path, name)),
  );
  const scripts = [...text.matchAll(IN_SCRIPT)].flatMap(([, braces = ""]) => namesIn(braces));
  return [...fixed, ...dynamic, ...spaces, ...scripts];
}

/** `FILE: NAME` for every export below `folder` that none of the files `users` imports. */
function unused(all: ReadonlyMap<string, string>, folder: string, users: RegExp): string[] {
  const imported = new Set([...all].filter(([file]) => users.test(file)).flatMap((entry) => importsOf(...entry)));
  const exported = [...all].filter(([file]) => file.startsWith(folder));
  return exported.flatMap(([file, text]) =>
    exportsOf(text)
      .filter((name) => ![`${file}: ${name}`, `${file}: ${ALL}`, name].some((use) => imported.has(use)))
      .map((name) => `${file}: ${name}`),
  );
}

const all = sources();

test("every export of src is imported by another file", () => {
  expect(all.size).toBeGreaterThan(600);
  expect(FOLDERS.flatMap((folder) => unused(all, `${folder}/`, /./))).toEqual([]);
});

test("no export of src is imported by tests only", () => {
  const isUsedAtHome = (row: string) => {
    const [file = "", name = ""] = row.split(": ");
    return (all.get(file)?.match(new RegExp(`\\b${name}\\b`, "g"))?.length ?? 0) > 1;
  };
  expect(unused(all, "src/", /^(src|install)\//).filter((row) => !isUsedAtHome(row))).toEqual(FOR_TESTS);
});
