// The release that is tested, which test/run.ts has made.
import { join } from "node:path";
import { TOP } from "./run-tests.ts";

/** The directory with its files. */
export const releaseFolder = process.env["MACHINED_DIST"] ?? join(TOP, "dist/release");

/**
 * Tests of the kernel layer that run for arm64: numbers of calls, structures, and calls that an emulator without
 * privileges passes on.
 */
export const ARM64_KERNEL_TESTS = [
  "syscall/layout",
  "syscall/constants",
  "syscall/sys",
  "syscall/mem",
  "syscall/time",
  "file/fd",
  "file/status-set",
  "process/pidref",
  "process/pipe",
  "process/spawn",
  "socket/unix",
  "socket/stream",
  "event/poller",
];
