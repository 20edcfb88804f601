import { expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { cstring, pin, scratchString } from "../../../src/kernel/syscall/mem.ts";
import { sys } from "../../../src/kernel/syscall/sys.ts";
import { MANY } from "../support.ts";

test("pinned memory keeps its address while code that uses it is optimised", () => {
  const block = pin(64);
  const { address } = block;
  const touch = (value: number) => {
    block.view.setUint32(0, value, true);
    return new Uint8Array(block.bytes.buffer)[0];
  };
  const timespec = pin(16);
  for (let i = 0; i < MANY; i++) {
    if (touch(i) !== (i & 0xff) || block.address !== address) throw new Error(`moved at ${i}`);
    sys("clock_gettime", 1, timespec.address);
    if (timespec.view.getBigInt64(8, true) === 0n && timespec.view.getBigInt64(0, true) === 0n)
      throw new Error(`lost at ${i}`);
    timespec.bytes.fill(0);
  }
});

test("memory that only a pointer in a structure refers to stays allocated", () => {
  const ends = pin(8);
  sys("pipe2", ends, 0);
  const [read, write] = [ends.view.getInt32(0, true), ends.view.getInt32(4, true)];
  const message = pin(56);
  const back = pin(8);
  for (let i = 0; i < MANY; i++) {
    const payload = pin(8);
    payload.view.setFloat64(0, i);
    message.view.setBigUint64(16, BigInt(payload.address), true);
    sys("write", write, message.view.getBigUint64(16, true), 8);
    sys("read", read, back, 8);
    if (back.view.getFloat64(0) !== i) throw new Error(`wrong bytes at ${i}`);
    if (i % 10_000 === 0) Bun.gc(true);
  }
  sys("close", read);
  sys("close", write);
});

test("strings end with NUL, and a string that contains NUL is refused", () => {
  expect(cstring("häß").bytes.toString()).toBe("häß\0");
  expect(() => cstring("a\0b")).toThrow("Invalid argument");
  expect(() => scratchString("a\0b")).toThrow("Invalid argument");
  expect(() => scratchString("x".repeat(40_000))).toThrow("File name too long");
});

test("scratch memory holds the string that was written last", () => {
  for (let i = 0; i < MANY / 2; i++) {
    const detour = "./".repeat(i % 2000);
    const fd = sys("openat", -100, scratchString(`/dev/${detour}null`), 0x80000);
    if (readlinkSync(`/proc/self/fd/${fd}`) !== "/dev/null") throw new Error(`wrong file at ${i}`);
    sys("close", fd);
  }
});

test("only mem.ts takes addresses of memory, and only src/kernel imports bun:ffi", () => {
  const sources = join(import.meta.dir, "../../../src");
  const offenders = readdirSync(sources, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .filter((path) => {
      const text = readFileSync(join(sources, path), "utf8");
      if (!path.startsWith("kernel/")) return /from "bun:ffi"/.test(text);
      return path !== "kernel/syscall/mem.ts" && /\bptr\(/.test(text);
    });
  expect(offenders).toEqual([]);
});
