// Files that their owner may not read.

import { expect } from "bun:test";
import { chmodSync, chownSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { readRegular } from "../../../src/kernel/file/regular-file.ts";
import { withIdentity } from "../../../src/kernel/process/namespace.ts";
import { reopenForReading } from "../../../src/kernel/tree/own-file.ts";
import { rootTest, scratchDirectory } from "../support.ts";

const scratch = scratchDirectory();
const USER = { uid: 65534, gid: 65534 };

/** The content that the user reads from a file of that owner and mode, or the error. */
function readBy(owner: number, mode: number): string {
  const path = join(scratch, `${owner}-${mode}`);
  writeFileSync(path, "content");
  chownSync(path, owner, owner);
  chmodSync(path, mode);
  using named = openPath(path, "path");
  const text = withIdentity(USER, () => {
    try {
      using file = reopenForReading(named);
      return readRegular(file, 100).toString();
    } catch (error) {
      return (error as Error).message.replace(/"[^"]*"/, "it");
    }
  });
  expect(statSync(path).mode & 0o7777).toBe(mode);
  expect(readFileSync(path, "utf8")).toBe("content");
  return text;
}

rootTest(
  "a user can read its own file in any mode, without changing it, but not another user's file without permission",
  () => {
    chmodSync(scratch, 0o755);
    expect(readBy(USER.uid, 0o000)).toBe("content");
    expect(readBy(USER.uid, 0o4111)).toBe("content");
    expect(readBy(USER.uid, 0o640)).toBe("content");
    expect(readBy(0, 0o644)).toBe("content");
    expect(readBy(0, 0o600)).toBe("open it: Permission denied");
  },
);
