// The account of a command in a machine, with files whose reading fails; this process stands for the leader.
import { expect, test } from "bun:test";
import { type Account, accountOf } from "../../../src/exec/account.ts";
import { PidRef } from "../../../src/kernel/process/pidref.ts";
import { SyscallError } from "../../../src/kernel/syscall/sys.ts";

const FILES: Readonly<Record<string, string>> = {
  "/etc/passwd": "root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n",
  "/etc/group": "u:x:1000:\nlog:x:50:u\n",
};

/** Returns the account of a user; opening a file of `errors` fails with its errno. */
function account(user: string, errors: Readonly<Record<string, string>> = {}): Account {
  using leader = PidRef.of(process.pid);
  return accountOf({ leader, machine: "m", ownerUid: 0, user }, (path) => {
    const errno = errors[path];
    if (errno !== undefined) throw new SyscallError("open", errno, path);
    return FILES[path] ?? "";
  });
}

test("a user given by number gets groups and home directory from the machine's user database", () => {
  const { groups, entry } = account("1000");
  expect([groups, entry?.home]).toEqual([[50], "/home/u"]);
});

test.each(["ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EPERM", "EBADF"])(
  "a machine without a readable user database (%s) accepts users by number, without groups",
  (errno) => {
    expect(account("1000", { "/etc/passwd": errno })).toEqual({ uid: 1000, gid: 1000, groups: [], entry: null });
    expect(account("1000", { "/etc/group": errno }).groups).toEqual([]);
  },
);

test.each(["EMFILE", "ENFILE", "ENOMEM", "EIO", "EFBIG"])(
  "a user database that exists and cannot be read (%s) is an error, not an empty one",
  (errno) => {
    for (const path of Object.keys(FILES)) {
      const attempt = () => account("1000", { [path]: errno });
      expect(attempt).toThrow("The user database of machine 'm' could not be read: ");
      expect(attempt).toThrow(path);
      expect(attempt).toThrow(expect.objectContaining({ errnoName: errno }));
    }
  },
);
