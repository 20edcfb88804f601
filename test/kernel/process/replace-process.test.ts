import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "machined-replace-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs a process that replaces itself by `program`; returns what that prints. */
async function replacedBy(program: string): Promise<string> {
  const module = JSON.stringify(join(import.meta.dir, "../../../src/kernel/process/replace-process.ts"));
  const code = `const { replaceProcess } = await import(${module});
    try { replaceProcess(${JSON.stringify(program)}, ["name", "a b"], ["X=y"]); } catch (error) { console.log(error.message); }`;
  const child = Bun.spawn([process.execPath, "-e", code], { stdin: "ignore", stderr: "inherit" });
  return (await child.stdout.text()).trim();
}

test("a process is replaced by a script that is named by its path, with arguments and environment", async () => {
  const script = join(folder, "script");
  writeFileSync(script, '#!/bin/sh\necho "$1 $X"\n', { mode: 0o755 });
  expect(await replacedBy(script)).toBe("a b y");
});

test("a program that cannot be executed is an error", async () => {
  const broken = join(folder, "broken");
  writeFileSync(broken, "no program", { mode: 0o755 });
  expect(await replacedBy(broken)).toContain("Exec format error");
  expect(await replacedBy(join(folder, "missing"))).toContain("No such file");
});
