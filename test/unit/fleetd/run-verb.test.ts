import { expect, test } from "bun:test";
import { readRequest } from "../../../src/fleet/request.ts";
import { machinectlArguments } from "../../../src/fleetd/run-verb.ts";

function said(request: string, body: object): string {
  return machinectlArguments(readRequest(`machined.h.${request}`, Buffer.from(JSON.stringify(body)))).join(" ");
}

test("requests are mapped to command lines with -- between options and names", () => {
  const common = "--no-ask-password --no-pager";
  expect(said("read.list", { form: "cells" })).toBe(`${common} --cells -- list`);
  expect(said("read.stats", { form: "cells", columns: "all" })).toBe(`${common} --cells --columns=all -- stats`);
  expect(said("read.status", { machines: ["a"], form: "json", lines: 3, output: "cat" })).toBe(
    `${common} --json=short --lines=3 --output=cat -- status a`,
  );
  expect(said("read.wait", { machines: ["a"], until: "ended", timeoutMs: 5 })).toBe(
    `${common} --through-service --for=ended --timeout=5ms -- wait a`,
  );
  expect(said("lifecycle.start", { machines: ["a", "b"] })).toBe(`${common} --runner=nspawn -- start a b`);
  expect(said("lifecycle.start", { machines: ["a"], quiet: true })).toBe(
    `${common} --quiet --runner=nspawn -- start a`,
  );
  expect(said("read.wait", { machines: ["a"], quiet: true })).toStartWith(`${common} --quiet --through-service `);
  expect(said("lifecycle.terminate", { machines: ["a"] })).toBe(`${common} -- terminate a`);
});

test("words of a command that look like options stay words of the command", () => {
  expect(said("exec.run", { machines: ["a"], command: ["--uid=root", "-t"], user: "u", timeoutMs: 9 })).toBe(
    "--no-ask-password --stdin=no --through-service --timeout=9ms --uid=u -- exec a --uid=root -t",
  );
});
