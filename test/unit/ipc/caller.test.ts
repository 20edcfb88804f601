import { expect, test } from "bun:test";
import { openerByStartTime } from "../../../src/ipc/caller.ts";
import { processStartTicks } from "../../../src/kernel/process/process-file.ts";
import { SyscallError } from "../../../src/kernel/syscall/sys.ts";

/** Returns the error of pinning the process whose start time is read by `read`. */
function errorOf(pid: number, read: (pid: number) => bigint): string | null {
  try {
    openerByStartTime(pid, read)()[Symbol.dispose]();
    return null;
  } catch (error) {
    return (error as SyscallError).errnoName;
  }
}

test("a peer whose start time cannot be read for lack of descriptors or memory has not ended", () => {
  for (const errno of ["EMFILE", "ENFILE", "ENOMEM", "EIO"]) {
    const failing = () => {
      throw new SyscallError("open", errno);
    };
    expect(errorOf(process.pid, failing)).toBe(errno);
  }
});

test("a peer is pinned by its number and start time; one that has ended, or another process of its number, is not", () => {
  expect(errorOf(process.pid, processStartTicks)).toBeNull();
  expect(errorOf(process.pid, () => 1n)).toBe("ESRCH");
  expect(errorOf(0, processStartTicks)).toBe("ESRCH");
  const gone = () => {
    throw new SyscallError("open", "ENOENT");
  };
  expect(errorOf(process.pid, gone)).toBe("ESRCH");
});
