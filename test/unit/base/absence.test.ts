import { expect, test } from "bun:test";
import {
  lacksResources,
  meansNoFile,
  meansNoProcess,
  unlessNoFile,
  unlessNoProcess,
} from "../../../src/base/absence.ts";
import { ErrnoError } from "../../../src/base/error.ts";

const failing = (errno: string) => () => {
  throw new ErrnoError(errno, errno);
};

test("a file or process is absent for the errors that say so, and for no other", () => {
  for (const errno of ["ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "EACCES"]) {
    expect(unlessNoFile(failing(errno), "absent")).toBe("absent");
  }
  for (const errno of ["ESRCH", "ENOENT", "EACCES", "ENODATA"]) {
    expect(unlessNoProcess(failing(errno), null)).toBeNull();
  }
  for (const errno of ["EMFILE", "ENFILE", "ENOMEM", "EIO", "ESTALE", "EINTR"]) {
    expect(() => unlessNoFile(failing(errno), "absent")).toThrow(errno);
    expect(() => unlessNoProcess(failing(errno), "absent")).toThrow(errno);
  }
  expect(unlessNoFile(() => "read", "absent")).toBe("read");
});

test("an error without an errno says nothing about a file, a process or resources", () => {
  const bug = new TypeError("bug");
  expect([meansNoFile(bug), meansNoProcess(bug), lacksResources(bug)]).toEqual([false, false, false]);
  expect([lacksResources({ code: "EMFILE" }), lacksResources({ code: "EIO" })]).toEqual([true, false]);
});
