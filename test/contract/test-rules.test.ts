// What test/README.md asks of tests, as far as their text shows it, and what the last lines of a run say.
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TEST_PROGRAMS } from "../lib/programs.ts";
import { ARM64_KERNEL_TESTS } from "../lib/release.ts";
import { TOP } from "../lib/run-tests.ts";

const FOLDERS = ["unit", "kernel", "contract", "service", "host", "lib", "release"];

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
  // Timers belong to what waits, to guards of the runner, to a service that is played slow, and to moments by chance.
  const timers =
    /^test\/lib\/(wait-for|run-tests|private-bus)\.ts|^test\/kernel\/support\.ts|^test\/kernel\/process\/spawn\.test\.ts|while \(!|delayMs|^test\/unit\/ipc\/bus\/descriptors|^test\/service\/mute-file-system/;
  expect(found(/Bun\.sleep|sleepSync|\bsetTimeout\(/, timers), "wait with waitFor()").toEqual([]);
  // A program that stays sleeps for minutes; a loop until a condition holds looks every so often; a moment by chance.
  const stays =
    /sleep (infinity|\d{3,})|"sleep", "\d{3}|(until|while) .*do sleep \.1; done|probe\/(life|greedy_host)\.py|lib\/full-pipe\.ts|while :|sleep \.1; done; \}|time\.sleep\((\.0\d|\d{3,})\)|printf %03d|exit 3/;
  expect(found(/\bsleep [\d.$]|time\.sleep\(/, stays)).toEqual([]);
});

test("a limit in a test is one of the two guards", () => {
  expect(found(/^\s*\}, \d\d[\d_]+\);$|setDefaultTimeout\((?!GUARD_MS)|timeout: [\d_]+\b/, /^$/)).toEqual([]);
});

test("a program that tests depend on is listed, so that it is installed before them", () => {
  expect(found(/Bun\.which\(/, /^test\/lib\/(programs|host-suite)\.ts/)).toEqual([]);
});

test("tests that are left out are listed with their reasons before the closing line", () => {
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
