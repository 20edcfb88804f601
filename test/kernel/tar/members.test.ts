// Members of archives whose files cannot be read, or are left out.
import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Fd, openPath } from "../../../src/kernel/file/fd.ts";
import { Listing } from "../../../src/worker/tar/listing.ts";
import { MemberWriter } from "../../../src/worker/tar/members.ts";
import { tarChunks } from "../../../src/worker/tar/pack.ts";
import { tryMakeNode } from "../../../src/worker/untar/calls.ts";
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

test("an error while attributes, a link or a directory are read names the file as well", () => {
  const [file, link] = [join(scratch, "plain"), join(scratch, "link")];
  writeFileSync(file, "");
  symlinkSync("plain", link);
  // No descriptor has this number.
  const missing = { number: 1_000_000 } as Fd;
  using writer = new MemberWriter({});
  for (const path of [file, link]) {
    using found = openPath(path, "path-no-follow");
    writer.status.readFd(found);
    expect(() => [...writer.file(missing, "./var/file")]).toThrow("Failed to read './var/file': ");
  }
  expect(() => new Listing(missing, "./var")).toThrow("Failed to read './var': Bad file descriptor");
});

test("the walk through a tree of very many sockets pauses, although they are left out of the archive", () => {
  const path = join(scratch, "sockets");
  mkdirSync(path);
  using directory = openPath(path, "directory");
  const [SOCKET_MODE, sockets] = [0o140600, 1000];
  for (let index = 0; index < sockets; index++)
    expect(tryMakeNode(directory, `${index}`, SOCKET_MODE, 0, 0)).toBeGreaterThanOrEqual(0);
  const chunks = [...tarChunks(directory)];
  expect(chunks.filter(({ length }) => length === 0).length).toBeGreaterThan(1);
  // The top, and the end mark.
  expect(Buffer.concat(chunks).length).toBeLessThan(4096);
});
