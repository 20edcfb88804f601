import { expect, test } from "bun:test";
import { readlinkSync } from "node:fs";
import { openProcessLink, ProcessLinks } from "../../../src/kernel/process/process-link.ts";
import { descriptorsTo, expectNothingLeft, LEAK_ROUNDS, openDescriptors } from "../../lib/descriptors.ts";
import { until } from "../support.ts";

const ABSENT = 0x3fff_ffff;

test("the links of several processes are opened together, each as by itself", () => {
  const pids = [process.pid, process.ppid, process.pid];
  using links = new ProcessLinks([...pids, ABSENT], "ns/net", "read");
  for (const pid of pids) {
    using link = links.open(pid);
    using alone = openProcessLink(pid, "ns/net", "read");
    expect(readlinkSync(`/proc/self/fd/${link.number}`)).toBe(readlinkSync(`/proc/self/fd/${alone.number}`));
  }
  expect(() => links.open(ABSENT)).toThrow("No such file or directory");
  // Not one of those that were begun.
  using other = links.open(process.pid);
  expect(other.isOpen).toBe(true);
});

test("links that nobody has asked for are closed", async () => {
  const target = readlinkSync("/proc/self/ns/uts");
  const before = { all: openDescriptors(), link: descriptorsTo(target) };
  for (let round = 0; round < LEAK_ROUNDS; round++) {
    using links = new ProcessLinks([process.pid, process.ppid, ABSENT], "ns/uts", "read");
    if (round % 2 === 0) links.open(process.ppid).close();
  }
  // What was not open yet is closed by a later call, or by a timer.
  await until(() => descriptorsTo(target) <= before.link, "the last links");
  expectNothingLeft(before.all);
});
