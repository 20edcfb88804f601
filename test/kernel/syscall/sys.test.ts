import { expect, test } from "bun:test";
import { scratchString } from "../../../src/kernel/syscall/mem.ts";
import { numberOf, SYSCALL_NUMBERS } from "../../../src/kernel/syscall/numbers.ts";
import { check, isErrno, SyscallError, sys, trySys } from "../../../src/kernel/syscall/sys.ts";
import { MANY, runC } from "../support.ts";

test("a call returns the kernel's value, or the negated errno", () => {
  expect(sys("getpid")).toBe(process.pid);
  expect(trySys("close", -1)).toBe(-9);
  expect(trySys("openat", -100, scratchString("/no/such/file"), 0)).toBe(-2);
});

test("an error has the call, the object and the reason", () => {
  const error = new SyscallError("open", "ENOENT", "/proc/1/root");
  expect(error.message).toBe('open "/proc/1/root": No such file or directory');
  expect(error).toMatchObject({ syscall: "open", errno: 2, errnoName: "ENOENT", object: "/proc/1/root" });
  expect(() => sys("close", -1)).toThrow("close: Bad file descriptor");
  expect(() => check(-13, "open", "x")).toThrow('open "x": Permission denied');
  expect(isErrno(error, "EPERM", "ENOENT")).toBe(true);
  expect(isErrno(new Error("ENOENT"), "ENOENT")).toBe(false);
});

test("all six arguments reach the kernel, and results stay correct in a hot loop", () => {
  const PROT_NONE = 0;
  for (let i = 0; i < MANY; i++) {
    if (sys("getpid") !== process.pid) throw new Error(`wrong pid at ${i}`);
    if (trySys("fcntl", 9999, 1) !== -9) throw new Error(`wrong error at ${i}`);
    // The sixth argument is the offset; an odd one is EINVAL.
    if (trySys("sendto", -1, PROT_NONE, 0, 0, 0, i) !== -9) throw new Error(`wrong error at ${i}`);
  }
});

test("a result of more than 32 bits is returned as a number", () => {
  const fd = sys("memfd_create", scratchString("big"), 1);
  expect(sys("ftruncate", fd, 2 ** 40)).toBe(0);
  expect(sys("lseek", fd, 0, 2)).toBe(2 ** 40);
  expect(sys("lseek", fd, 10n ** 12n, 0)).toBe(1e12);
  sys("close", fd);
});

test("a negative argument reaches the kernel, also where the engine stores it as a double", () => {
  const [number, offset, far] = new Float64Array([-100, -1, -(2 ** 40)]) as unknown as [number, number, number];
  const fd = sys("openat", number, scratchString("/proc/self/cmdline"), 0);
  expect(sys("lseek", fd, 5, 0)).toBe(5);
  expect(sys("lseek", fd, offset, 1)).toBe(4);
  expect(sys("lseek", fd, -1n, 1)).toBe(3);
  sys("close", fd);
  for (const argument of [far, 2 ** 60, 2n ** 63n, Number.NaN]) {
    expect(() => trySys("close", argument)).toThrow(RangeError);
  }
});

test("system call numbers are those of the system's headers, on both architectures", () => {
  const names = Object.keys(SYSCALL_NUMBERS) as (keyof typeof SYSCALL_NUMBERS)[];
  const print = names.map((name) => `#ifdef __NR_${name}\nprintf("${name} %d\\n", __NR_${name});\n#endif`).join("\n");
  const program = (include: string) => `#include <stdio.h>\n${include}\nint main(void) {\n${print}\n}\n`;
  // The generic table has other names: the 64-bit variants are named __NR3264_ there.
  const generic = "#define __BITS_PER_LONG 64\n#include <asm-generic/bitsperlong.h>\n#include <asm-generic/unistd.h>";
  for (const [column, include] of [
    [process.arch === "x64" ? 0 : 1, "#include <asm/unistd.h>"],
    [1, generic],
  ] as const) {
    const printed = runC(program(include));
    if (printed === null) return;
    const rows = printed
      .trim()
      .split("\n")
      .map((line) => line.split(" "));
    expect(rows.length).toBeGreaterThan(90);
    const ours = (name: string) => SYSCALL_NUMBERS[name as keyof typeof SYSCALL_NUMBERS][column];
    for (const [name = "", number] of rows) expect(`${name} ${ours(name)}`).toBe(`${name} ${number}`);
  }
  expect(numberOf("getpid")).toBe(SYSCALL_NUMBERS.getpid[process.arch === "arm64" ? 1 : 0]);
});
