import { afterAll, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostVersionLine, versionText } from "../../../src/kernel/process/host-systemd.ts";

const directory = mkdtempSync(join(tmpdir(), "host-systemd-"));
afterAll(() => rmSync(directory, { recursive: true }));

function program(name: string, script: string): string {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

const hasSystemd = existsSync("/usr/lib/systemd/systemd") || existsSync("/lib/systemd/systemd");

test.skipIf(!hasSystemd)(
  `the first line of the host's 'systemd --version' is returned${hasSystemd ? "" : " (left out: no systemd here)"}`,
  () => {
    expect(hostVersionLine()).toBe(hostVersionLine(undefined, []));
    expect(hostVersionLine()).toMatch(/^systemd \d+/);
  },
);

test("the first line of a program's output is returned unchanged", () => {
  const manager = program("good", "echo 'systemd 252 (252.39-1~deb12u2)'; echo +PAM");
  expect(hostVersionLine([join(directory, "absent"), manager], [])).toBe("systemd 252 (252.39-1~deb12u2)");
});

test("a program that prints something else, fails or cannot be executed counts as no systemd", () => {
  writeFileSync(join(directory, "text"), "x");
  for (const path of [program("other", "echo runit 2"), program("bad", "exit 1"), join(directory, "text")]) {
    expect(hostVersionLine([path], [])).toBeNull();
  }
});

test("the line is read from the library of systemd's programs, at any position in it", () => {
  const manager = program("manager", "echo 'systemd 1 (printed)'");
  const libraries = mkdtempSync(join(directory, "libraries-"));
  const read = () => hostVersionLine([manager], [join(directory, "absent"), libraries]);
  const put = (name: string, before: number, text: string) =>
    writeFileSync(join(libraries, name), `${"x".repeat(before)}${text}${"y".repeat(200)}`);
  expect(read()).toBe("systemd 1 (printed)");
  for (let before = (256 << 10) - 300; before < (256 << 10) + 10; before += 7) {
    put("libsystemd-shared-252.so", before, "systemd 252 (252.39-1~deb12u2)\n+PAM");
    expect(read()).toBe("systemd 252 (252.39-1~deb12u2)");
  }
  put("libsystemd-shared-252.so", 0, "no such text");
  expect(read()).toBe("systemd 1 (printed)");
  rmSync(join(libraries, "libsystemd-shared-252.so"));
  put("libsystemd-shared-255.10-3.fc40.so", 900_000, "%ssystemd %i%s (255.10-3.fc40)");
  expect(read()).toBe("systemd 255 (255.10-3.fc40)");
  // Which of two is that of the manager is not known.
  put("libsystemd-shared-256.so", 10, "%ssystemd %i%s (256.1)");
  expect(read()).toBe("systemd 1 (printed)");
});

test("without a systemd the emulated release is printed", () => {
  expect(versionText(["+A"], null)).toMatch(/^systemd 262 \(machined [\d.]+\)\nmachined [\d.]+ \+A\n$/);
  expect(versionText([], "systemd 257 (257.13)")).toMatch(/^systemd 257 \(257\.13\)\nmachined [\d.]+\n$/);
});
