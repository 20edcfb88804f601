// Unpacking lets other work run, such as the end of a cancelled transfer: also when all members are unpacked.
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inNextTurn } from "../../../../src/base/next-turn.ts";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { unpackPlainTar } from "../../../../src/worker/image/unpack-tar.ts";
import { archive } from "../archive-builder.ts";

const own = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };

test("the metadata of very many directories is set in turns", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "unpack-"));
  try {
    const members = Array.from({ length: 2000 }, (_, index) => ({
      name: `d${index}/`,
      type: "5",
      mode: 0o711,
      ...own,
    }));
    let turns = 0;
    async function* source() {
      yield archive(...members);
      // All members are unpacked.
      expect(readdirSync(scratch).length).toBe(members.length);
      inNextTurn(() => void turns++);
    }
    using top = openPath(scratch, "directory");
    await unpackPlainTar(source(), top);
    expect([turns, statSync(join(scratch, "d0")).mode & 0o777]).toEqual([1, 0o711]);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
