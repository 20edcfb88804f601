import { expect, test } from "bun:test";
import { MOST_REQUEST_BYTES, readAnswer, readRequest } from "../../../src/fleet/request.ts";

const bytes = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));

test("fields that a request leaves out have their defaults", () => {
  expect(readRequest("machined.h.read.list", bytes(""))).toEqual({
    ...{
      scope: "read",
      verb: "list",
      machines: [],
      form: "text",
      columns: "usual",
      lines: 10,
      output: "short",
      until: "booted",
      timeoutMs: 0,
      quiet: false,
    },
    ...{ runner: "nspawn", command: [], user: "" },
  });
  expect(readRequest("machined.h.lifecycle.start", bytes({ machines: ["a.b"], runner: "vmspawn" })).runner).toBe(
    "vmspawn",
  );
});

test.each([
  ["machined.h.read.terminate", {}, "There is no request 'read.terminate'"],
  ["machined.h.lifecycle.constructor", {}, "There is no request"],
  ["machined.h.write.list", {}, "There is no request"],
  ["machined.h.read.list", "{", "not JSON"],
  ["machined.h.read.list", "\u0000\u0001", "not JSON"],
  ["machined.h.read.list", "[]", "not a JSON object"],
  ["machined.h.read.list", "null", "not a JSON object"],
  ["machined.h.read.status", {}, "names no machine"],
  ["machined.h.lifecycle.terminate", { machines: [] }, "names no machine"],
  ["machined.h.lifecycle.terminate", { machines: "all" }, "'machines' must be an array"],
  ["machined.h.lifecycle.terminate", { machines: ["*"] }, "no name of a machine"],
  ["machined.h.lifecycle.terminate", { machines: ["--all"] }, "no name of a machine"],
  ["machined.h.lifecycle.terminate", { machines: ["a.*"] }, "no name of a machine"],
  ["machined.h.lifecycle.terminate", { machines: ["a\u001b[2J"] }, "no name of a machine"],
  ["machined.h.lifecycle.terminate", { machines: [".host"] }, "no name of a machine"],
  ["machined.h.lifecycle.terminate", { machines: Array(257).fill("a") }, "at most 256"],
  ["machined.h.lifecycle.start", { machines: ["a"], runner: "sh" }, "'runner' must be one of"],
  ["machined.h.read.status", { machines: ["a"], lines: 1e9 }, "'lines' must be"],
  ["machined.h.read.status", { machines: ["a"], form: "toString" }, "'form' must be one of"],
  ["machined.h.read.status", { machines: ["a"], output: "--all" }, "'output' must be one of"],
  ["machined.h.read.wait", { machines: ["a"], timeoutMs: 20_001 }, "'timeoutMs' must be"],
  ["machined.h.exec.run", { machines: ["a", "b"], command: ["ls"] }, "one machine"],
  ["machined.h.exec.run", { machines: ["a"] }, "no command"],
  ["machined.h.exec.run", { machines: ["a"], command: ["a\0b"] }, "NUL"],
  ["machined.h.exec.run", { machines: ["a"], command: ["ls"], user: "root; x" }, "no name of a user"],
  ["machined.h.read.list", " ".repeat(MOST_REQUEST_BYTES + 1), "bytes at most"],
])("%s %j is refused", (subject, body, why) => {
  expect(() => readRequest(subject, bytes(body))).toThrow(why);
});

test("an invalid answer is ignored", () => {
  expect(readAnswer('{"status":0,"output":"a","error":""}')).toEqual({ status: 0, output: "a", error: "" });
  for (const text of ["", "{}", "null", '{"status":"0","output":"","error":""}']) expect(readAnswer(text)).toBe(null);
  // 256 and -256 would be the exit status 0 of this program.
  for (const status of [256, -256, 0.5, 1e300]) {
    expect(readAnswer(JSON.stringify({ status, output: "", error: "" }))).toBe(null);
  }
});
