import { expect, test } from "bun:test";
import { join } from "node:path";
import { mortal } from "../../../src/kernel/syscall/mortal.ts";

const MODULE = join(import.meta.dir, "../../../src/kernel/syscall/mortal.ts");
const HANDLER = 'process.on("SIGTERM", () => process.exit(7));';

function run(script: string): Bun.SyncSubprocess<"pipe", "pipe"> {
  const source = `import { mortal } from ${JSON.stringify(MODULE)};\n${HANDLER}\n${script}`;
  return Bun.spawnSync([process.execPath, "-e", source], { stdout: "pipe", stderr: "pipe" });
}

test("SIGTERM ends a process while a call runs, although it has a handler", () => {
  const { signalCode, exitCode } = run(`mortal(() => { process.kill(process.pid, "SIGTERM"); for (;;); });`);
  expect([signalCode ?? null, exitCode]).toEqual(["SIGTERM", null as never]);
});

test("the handler is restored afterwards, also after nested calls, exceptions, and very many calls", () => {
  const { exitCode, stderr } = run(`
    for (let i = 0; i < 100_000; i++) mortal(() => i);
    mortal(() => mortal(() => 1));
    try { mortal(() => { throw new Error("x"); }); } catch {}
    process.kill(process.pid, "SIGTERM");
    setInterval(() => {}, 1000);`);
  expect([exitCode, stderr.toString()]).toEqual([7, ""]);
});

test("mortal() returns the result of its function", () => {
  expect(mortal(() => 5)).toBe(5);
});
