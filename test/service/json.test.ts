// The JSON of every verb of machinectl matches docs/json.md, with a whole daemon, a machine and images.
// test/host/lists.test.ts does the same in a booted system, with transfers.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { documentedSchemas, schemaErrors } from "../lib/json-schema.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

/** How each verb is run; the last word may name the machine or the image. */
const RUNS: Readonly<Record<string, readonly string[]>> = {
  "machinectl list": ["list", "list --all --columns=all", "list --filter=class=vm"],
  "machinectl status": ["status web", "status .host"],
  "machinectl show": ["show", "show web", "show web -p Id"],
  "machinectl stats": ["stats --delay=20ms", "stats --delay=20ms --columns=all", "stats --delay=20ms --filter=name=x"],
  "machinectl events": ["events --no-follow --since=2000-01-01"],
  "machinectl list-images": ["list-images", "list-images --all --columns=all"],
  "machinectl image-status": ["image-status", "image-status tree"],
  "machinectl show-image": ["show-image", "show-image tree"],
  "machinectl clean": ["clean", "clean"],
};

const SCHEMAS = documentedSchemas();

test("this test runs every verb of machinectl that docs/json.md describes", () => {
  // `logs` needs a machine that logs, and a journal: test/host/lists.test.ts tests it.
  // So does `doctor`, whose exit status is 1 on a host with a problem: test/host/doctor.test.ts.
  // And `exec --detach`: test/host/exec.test.ts.
  const elsewhere = ["machinectl logs", "machinectl doctor", "machinectl exec"];
  const described = [...SCHEMAS.keys()].filter((name) => name.startsWith("machinectl ") && !elsewhere.includes(name));
  expect(Object.keys(RUNS)).toEqual(described);
});

test("a schema refuses fields and types that it does not describe", () => {
  const [list, second] = SCHEMAS.get("machinectl list") ?? [];
  const row = { machine: "a", class: "vm", service: "s", os: null, version: null, addresses: "10.0.0.1\n10.0.0.2" };
  expect(schemaErrors(list ?? {}, [row])).toEqual([]);
  expect(schemaErrors(second ?? {}, [row])).toEqual(["$[0].addresses is string, not array"]);
  expect(schemaErrors(list ?? {}, [{ ...row, leader: "1" }])).toEqual(["$[0].leader is string, not integer,null"]);
  expect(schemaErrors(list ?? {}, [{ ...row, new: 1 }])).toEqual(["$[0].new is not in the schema"]);
  expect(schemaErrors(list ?? {}, {})).toEqual(["$ is object, not array"]);
  const { machine: _, ...nameless } = row;
  expect(schemaErrors(list ?? {}, [nameless])).toEqual(["$[0].machine is missing"]);
  expect(schemaErrors({ maximum: 1 }, 2)).toEqual(["$: unknown keyword 'maximum'"]);
});

describe.skipIf(!isRoot)(`JSON${needsRoot}`, () => {
  const root = mkdtempSync(join(tmpdir(), "json-test-"));
  let daemon: TestDaemon;

  beforeAll(async () => {
    const pool = join(root, "var/lib/machines");
    for (const name of ["tree", ".hidden"]) {
      mkdirSync(join(pool, name, "etc"), { recursive: true });
      writeFileSync(join(pool, name, "etc/os-release"), "ID=mini\nVERSION_ID=1\n");
    }
    daemon = await TestDaemon.start({ MACHINED_IMAGE_ROOT: root });
    const leader = await daemon.leader("--uts", "--net");
    await register(await daemon.bus(), "web", leader, { id: Buffer.alloc(16, 7) });
  }, GUARD_MS);

  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    rmSync(root, { recursive: true });
  });

  async function documents(words: string): Promise<unknown[]> {
    const env = { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
    const argv = [process.execPath, MAIN, "machinectl", ...words.split(" ")];
    const child = Bun.spawn(argv, { env, stdio: ["ignore", "pipe", "pipe"] });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    expect([stderr, await child.exited]).toEqual(["", 0]);
    return stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  }

  for (const [name, lines] of Object.entries(RUNS)) {
    test(
      `${name} prints JSON that matches docs/json.md`,
      async () => {
        const [first = {}, second = first] = SCHEMAS.get(name) ?? [];
        for (const line of lines) {
          for (const [version, schema] of [first, second].entries()) {
            const found = await documents(`${line} --json=short --json-version=${version + 1}`);
            expect(found.length).toBeGreaterThan(0);
            for (const one of found) expect(schemaErrors(schema, one)).toEqual([]);
            if (!name.includes(" show")) continue;
            // Other daemons may have more properties; machined has none that is not described.
            const known = Object.keys((schema["properties"] ?? {}) as object);
            expect(found.flatMap((one) => Object.keys(one as object)).filter((key) => !known.includes(key))).toEqual(
              [],
            );
          }
        }
      },
      GUARD_MS,
    );
  }

  test(
    "existing rows have values, and a list without rows is an empty array",
    async () => {
      const [row] = (await documents("list --columns=all --json=short")) as [Record<string, unknown>[]];
      expect(row[0]).toMatchObject({ machine: "web", class: "container", service: "test", owner: "root" });
      expect([typeof row[0]?.["hostname"], typeof row[0]?.["uptime"], typeof row[0]?.["leader"]]).toEqual([
        "string",
        "number",
        "number",
      ]);
      expect(await documents("list --filter=name=none --json=short")).toEqual([[]]);
      expect(await documents("stats --delay=20ms --filter=name=none --json=short")).toEqual([[]]);
      expect(await documents("list-images --filter=name=none --json=short")).toEqual([[]]);
    },
    GUARD_MS,
  );
});
