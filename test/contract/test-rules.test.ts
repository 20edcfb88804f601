// The rules of test/README.md that can be checked in the text of tests, and the last lines of a run.
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TEST_PROGRAMS } from "../lib/programs.ts";
import { ARM64_KERNEL_TESTS } from "../lib/release.ts";
import { TOP } from "../lib/run-tests.ts";

const FOLDERS = ["unit", "kernel", "contract", "service", "host", "environments", "lib", "release"];

interface Line {
  readonly where: string;
  readonly text: string;
}

/** The lines of all tests, their helpers and probes, without this file. */
function linesOfTests(): Line[] {
  const files = FOLDERS.flatMap((folder) => {
    const path = join(TOP, "test", folder);
    try {
      return readdirSync(path, { recursive: true, encoding: "utf8" }).map((name) => join("test", folder, name));
    } catch {
      return []; // a folder that has no test yet
    }
  });
  const wanted = files.filter((file) => /\.(ts|py|sh)$/.test(file) && !/recordings|test-rules/.test(file));
  return wanted.flatMap((file) =>
    readFileSync(join(TOP, file), "utf8")
      .split("\n")
      .map((text, index) => ({ where: `${file}:${index + 1}`, text })),
  );
}

function found(pattern: RegExp, allowed: RegExp): string[] {
  return linesOfTests()
    .filter(({ where, text }) => pattern.test(text) && !allowed.test(where) && !allowed.test(text))
    .map(({ where, text }) => `${where}: ${text.trim()}`);
}

test("tests wait for conditions and do not sleep", () => {
  // Timers are allowed in functions that wait, in guards of the runner, in services that are slow on purpose, and for
  // random moments.
  const timers =
    /^test\/lib\/(wait-for|run-tests|private-bus)\.ts|^test\/kernel\/support\.ts|^test\/kernel\/process\/spawn\.test\.ts|while \(!|delayMs|^test\/unit\/ipc\/bus\/descriptors|^test\/service\/mute-file-system/;
  expect(found(/Bun\.sleep|sleepSync|\bsetTimeout\(/, timers), "wait with waitFor()").toEqual([]);
  // Allowed: a program that keeps running sleeps for minutes, a loop polls a condition, a random moment is chosen.
  const stays =
    /sleep (infinity|\d{3,})|"sleep", "\d{3}|(until|while) .*do sleep \.1; done|probe\/(life|greedy_host)\.py|lib\/full-pipe\.ts|while :|sleep \.1; done; \}|time\.sleep\((\.0\d|\d{3,})\)|printf %03d|exit 3/;
  expect(found(/\bsleep [\d.$]|time\.sleep\(/, stays)).toEqual([]);
});

test("the time limits in tests are the two guards of wait-for.ts", () => {
  expect(found(/^\s*\}, \d\d[\d_]+\);$|setDefaultTimeout\((?!GUARD_MS)|timeout: [\d_]+\b/, /^$/)).toEqual([]);
});

test("open descriptors are counted by lib/descriptors.ts only, whose rules do not depend on those of the engine", () => {
  expect(found(/readdirSync\(.*\/fd[`"]\)\.length/, /^test\/lib\/descriptors\.ts/)).toEqual([]);
  expect(found(/expect\(openDescriptors\(.*\)\)\.toBe\(/, /^$/)).toEqual([]);
});

test("programs that tests need are looked up through lib/programs.ts only, so that they are installed before", () => {
  expect(found(/Bun\.which\(/, /^test\/lib\/(programs|host-suite)\.ts/)).toEqual([]);
});

test("tests that are left out are listed with their reasons before the last line", () => {
  const directory = mkdtempSync(join(tmpdir(), "left-out-"));
  const notes = join(directory, "notes");
  const script = `
    const { havePrograms } = await import(${JSON.stringify(join(TOP, "test/lib/programs.ts"))});
    const { Count } = await import(${JSON.stringify(join(TOP, "test/lib/count.ts"))});
    const { readFileSync } = await import("node:fs");
    console.log(havePrograms("images on btrfs", "mkfs.btrfs"));
    const count = new Count();
    count.leftOut.push(...readFileSync(${JSON.stringify(notes)}, "utf8").trimEnd().split("\\n"));
    count.note("good", true);
    count.note("bad", false);
    count.report();`;
  const run = Bun.spawnSync([process.execPath, "-e", script], { env: { PATH: directory, TEST_LEFT_OUT: notes } });
  rmSync(directory, { recursive: true });
  const told = `left out: images on btrfs: there is no mkfs.btrfs (Debian: ${TEST_PROGRAMS["mkfs.btrfs"]})`;
  expect(run.stdout.toString()).toBe(`${told}\nfalse\n${told}\nfailed: bad\n1 passed, 1 failed\n`);
});

test("the kernel tests that a release runs for arm64 exist", () => {
  const missing = ARM64_KERNEL_TESTS.filter((name) => !existsSync(join(TOP, "test/kernel", `${name}.test.ts`)));
  expect(missing).toEqual([]);
});
