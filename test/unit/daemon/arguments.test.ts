// The command line of both daemons.
import { expect, test } from "bun:test";
import { parseArguments } from "../../../src/daemon/arguments.ts";

test("a daemon accepts its options and refuses other options and words", () => {
  expect(parseArguments([])).toEqual({ kind: "run", scope: "system" });
  expect(parseArguments(["--user"])).toEqual({ kind: "run", scope: "user" });
  expect(parseArguments(["--user", "--system"])).toEqual({ kind: "run", scope: "system" });
  expect(parseArguments(["--help", "--bogus"]).kind).toBe("help");
  expect(parseArguments(["-h"]).kind).toBe("help");
  expect(parseArguments(["--bogus"])).toEqual({ kind: "error", message: "unrecognized option '--bogus'" });
  expect(parseArguments(["--bus-introspect", "list"])).toEqual({ kind: "introspect", path: "list" });
  expect(parseArguments(["--bus-introspect=/org"])).toEqual({ kind: "introspect", path: "/org" });
  expect(parseArguments(["--bus-introspect"])).toEqual({
    kind: "error",
    message: "option '--bus-introspect' requires an argument",
  });
  expect(parseArguments(["word"])).toEqual({ kind: "error", message: "This program takes no arguments." });
});
