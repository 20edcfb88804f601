import { expect, test } from "bun:test";
import { watchCount } from "../../../src/kernel/event/poller.ts";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { PidRef, processCmdline, processComm, processUid } from "../../../src/kernel/process/pidref.ts";
import { isZombie, processParent, processStartTicks } from "../../../src/kernel/process/process-file.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { MANY, until } from "../support.ts";

function sleeper() {
  return Bun.spawn(["sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
}

test("a reference identifies its process, and reports its exit", async () => {
  const child = sleeper();
  const watchesBefore = watchCount();
  using ref = PidRef.of(child.pid);
  expect(ref.isAlive()).toBe(true);
  expect(ref.parentPid()).toBe(process.pid);
  expect(ref.uid()).toBe(process.getuid?.() ?? -1);
  ref.kill(0);
  let exits = 0;
  ref.onExit(() => exits++);
  using unwanted = ref.onExit(() => (exits += 100));
  unwanted.stop();
  ref.kill(15);
  await until(() => exits > 0, "the exit");
  await child.exited;
  expect(exits).toBe(1);
  expect(ref.isAlive()).toBe(false);
  expect(() => ref.kill(0)).toThrow("No such process");
  expect(() => ref.uid()).toThrow("No such process");
  let late = 0;
  ref.onExit(() => late++);
  await until(() => late === 1, "the late notice");
  expect(watchCount()).toBe(watchesBefore);
});

test("common references to a process use one descriptor, which the last of them closes", async () => {
  const child = sleeper();
  const before = openDescriptors();
  const many = Array.from({ length: MANY }, () => PidRef.of(child.pid).common().common());
  const first = (many[0] as PidRef).common();
  if (first.id !== null) expect(openDescriptors() - before).toBeLessThan(MANY / 2);
  for (const ref of many.slice(1)) {
    ref[Symbol.dispose]();
    ref[Symbol.dispose]();
    expect(ref.isAlive()).toBe(false);
  }
  let exits = 0;
  first.onExit(() => exits++);
  first.duplicate()[Symbol.dispose]();
  expect(first.isAlive()).toBe(true);
  using again = first.id === null ? PidRef.of(child.pid) : PidRef.ofCommon(child.pid, first.id);
  if (again === null) throw new Error("There is a common reference.");
  expect(PidRef.ofCommon(process.pid, first.id ?? 0n)).toBeNull();
  expect(again.equals(first)).toBe(true);
  again.kill(9);
  await child.exited;
  await until(() => exits === 1, "the exit");
  expect(first.isAlive()).toBe(false);
  const duplicates = [first.duplicate(), again.duplicate()];
  first[Symbol.dispose]();
  again[Symbol.dispose]();
  duplicates.push((duplicates[0] as PidRef).duplicate());
  for (const duplicate of duplicates) duplicate[Symbol.dispose]();
  expect(PidRef.ofCommon(child.pid, first.id ?? 0n)).toBeNull();
  expectNothingLeft(before);
});

test("the first watch of an exit needs no descriptor; watches end with their reference, and do not close it", async () => {
  const child = sleeper();
  const before = openDescriptors();
  const watchesBefore = watchCount();
  let exits = 0;
  const watched = Array.from({ length: 100 }, () => PidRef.of(child.pid));
  for (const ref of watched) ref.onExit(() => exits++);
  expect(openDescriptors() - before).toBeLessThan(150);
  for (const ref of watched) ref[Symbol.dispose]();
  expect(watchCount()).toBe(watchesBefore);
  expectNothingLeft(before);
  using ref = PidRef.of(child.pid);
  for (let count = 0; count < MANY; count++) ref.onExit(() => exits++).stop();
  const twice = [ref.onExit(() => (exits += 100)), ref.onExit(() => (exits += 100))];
  ref.kill(9);
  await child.exited;
  await until(() => exits === 200, "both notices");
  for (const one of twice) one.stop();
  expect(ref.isAlive()).toBe(false);
  expect(watchCount()).toBe(watchesBefore);
});

test("what is opened of a process that ends meanwhile is closed", async () => {
  const child = sleeper();
  using ref = PidRef.of(child.pid);
  let opened = openPath("/", "path");
  opened.close();
  const open = () => {
    opened = openPath(`/proc/${child.pid}/root`, "path");
    ref.kill(9);
    ref.waitExit(GUARD_MS);
    return opened;
  };
  expect(() => ref.verified(open)).toThrow("No such process");
  expect(opened.isOpen).toBe(false);
  await child.exited;
});

test("a reference that was disposed of says nothing about its process: it counts as ended", async () => {
  const child = sleeper();
  const ref = PidRef.of(child.pid);
  ref[Symbol.dispose]();
  const opened = openPath("/", "path");
  expect(() => ref.verified(() => opened)).toThrow("No such process");
  expect(opened.isOpen).toBe(false);
  child.kill(9);
  await child.exited;
});

test("references to the same process are equal, those to different processes are not", async () => {
  const [first, second] = [sleeper(), sleeper()];
  using ref = PidRef.of(first.pid);
  using other = PidRef.of(second.pid);
  using again = PidRef.of(first.pid);
  using copy = ref.duplicate();
  using fromFd = PidRef.fromPidFd((again.pidfd ?? openPath("/dev/null", "read")).duplicate());
  using plain = PidRef.fromPidOnly(first.pid);
  expect([again, copy, fromFd, plain].map((one) => ref.equals(one))).toEqual([true, true, true, true]);
  expect(ref.equals(other)).toBe(false);
  expect(fromFd.pid).toBe(first.pid);
  if (ref.id !== null) expect(ref.id).not.toBe(other.id as bigint);
  for (const child of [first, second]) {
    child.kill(9);
    await child.exited;
  }
});

test("numbers without a process, and descriptors that are no pidfds, are refused", async () => {
  const child = sleeper();
  const ref = PidRef.of(child.pid);
  child.kill(9);
  await child.exited;
  expect(() => PidRef.of(child.pid)).toThrow("No such process");
  expect(() => PidRef.of(0)).toThrow("Invalid argument");
  expect(() => PidRef.of(-5)).toThrow("Invalid argument");
  expect(() => PidRef.fromPidFd(openPath("/dev/null", "read"))).toThrow("Not a pidfd");
  expect(() => PidRef.fromPidFd(ref.pidfd?.duplicate() ?? openPath("/dev/null", "read"))).toThrow();
  ref[Symbol.dispose]();
});

test("without a pidfd, the start time distinguishes a process from a later one with the same number", async () => {
  const child = sleeper();
  using plain = PidRef.fromPidOnly(child.pid);
  expect(plain.id).toBeNull();
  expect(plain.isAlive()).toBe(true);
  const gone = Promise.withResolvers<void>();
  plain.onExit(gone.resolve);
  plain.kill(9);
  await gone.promise;
  expect(plain.isAlive()).toBe(false);
  expect(() => plain.kill(9)).toThrow("No such process");
});

test("name, command line, user, parent and start time of a process are read from /proc", async () => {
  const child = sleeper();
  await until(() => processComm(child.pid) === "sleep", "exec");
  expect(processCmdline(child.pid)).toEqual(["sleep", "1000"]);
  expect(processUid(child.pid)).toBe(process.getuid?.() ?? -1);
  expect(processParent(child.pid)).toBe(process.pid);
  expect(processStartTicks(child.pid)).toBeGreaterThan(0n);
  expect(isZombie(child.pid)).toBe(false);
  child.kill(9);
  await child.exited;
  expect(() => processComm(child.pid)).toThrow(`process "${child.pid}": No such process`);
});

test(
  "references stay correct in a hot loop, and no descriptor stays open",
  async () => {
    const child = sleeper();
    const before = openDescriptors();
    using first = PidRef.of(child.pid);
    for (let i = 0; i < MANY; i++) {
      using ref = PidRef.of(i % 2 === 0 ? child.pid : process.pid);
      if (ref.equals(first) !== (i % 2 === 0) || !ref.isAlive()) throw new Error(`wrong process at ${i}`);
      ref.kill(0);
    }
    for (let i = 0; i < MANY / 10; i++) {
      if (processUid(child.pid) !== process.getuid?.() || processComm(child.pid) !== "sleep")
        throw new Error(`wrong at ${i}`);
      using copy = PidRef.fromPidFd((first.pidfd as NonNullable<typeof first.pidfd>).duplicate());
      if (copy.pid !== child.pid) throw new Error(`wrong pid at ${i}`);
    }
    expectNothingLeft(before);
    child.kill(9);
    await child.exited;
  },
  GUARD_MS,
);
