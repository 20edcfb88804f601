// The reservation of a name against clones and renames, which take no other lock.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { lockName } from "../../../../src/registry/image/lock.ts";
import { Reservation } from "../../../../src/worker/image/reservation.ts";
import { defaultOptions } from "../../../../src/worker/program/options.ts";

describe("a transfer reserves the name of its image", () => {
  const moved = mkdtempSync(join(tmpdir(), "reservation-"));
  const before = process.env["MACHINED_IMAGE_ROOT"];
  beforeAll(() => {
    process.env["MACHINED_IMAGE_ROOT"] = moved;
  });
  afterAll(() => {
    if (before === undefined) delete process.env["MACHINED_IMAGE_ROOT"];
    else process.env["MACHINED_IMAGE_ROOT"] = before;
    rmSync(moved, { recursive: true });
  });

  test.each([
    ["/var/lib/machines", true],
    ["/var/lib/machines/", true],
    ["//var/lib/./machines", true],
    ["/run/machines", true],
    ["/var/lib/portables", false],
    ["/srv/pool", false],
  ])("in the directory %s: %p", (path, isReserved) => {
    const [imageRoot, locks] = [moved + path, join(moved, "locks")];
    mkdirSync(imageRoot, { recursive: true });
    using root = openPath(imageRoot, "directory");
    using _reserved = new Reservation(root, "x", "", { ...defaultOptions(), imageRoot, locks });
    const clone = () => lockName(locks, "x")[Symbol.dispose]();
    if (isReserved) expect(clone).toThrow("busy");
    else clone();
  });
});
