// Members of archives whose files cannot be read.
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { MemberWriter } from "../../../src/worker/tar/members.ts";
import { scratchDirectory } from "../support.ts";

const scratch = scratchDirectory();

test("an error while a file is read names the file", () => {
  const path = join(scratch, "file");
  writeFileSync(path, "content");
  using file = openPath(path, "write");
  using writer = new MemberWriter({});
  writer.status.readFd(file);
  expect(() => [...writer.file(file, "./var/file")]).toThrow("Failed to read './var/file': Bad file descriptor");
});
