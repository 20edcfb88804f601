// The host's machine id, where there is none, and where it is none.
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoNameOf } from "../../../src/base/error.ts";
import { requireHostId } from "../../../src/daemon/host.ts";
import { scratchDirectory } from "../../kernel/support.ts";

const path = join(scratchDirectory(), "machine-id");

function found(text: string | null): string {
  if (text !== null) writeFileSync(path, text);
  try {
    return requireHostId(path);
  } catch (error) {
    return errnoNameOf(error) ?? String(error);
  }
}

test("a machine id has 32 hexadecimal digits; for everything else there is the error of sd_id128_get_machine(3)", () => {
  const id = "0123456789abcdef0123456789abcdef";
  expect(found(null)).toBe("ENOENT");
  expect(found("")).toBe("ENOMEDIUM");
  expect(found("\n")).toBe("ENOMEDIUM");
  expect(found(`${"0".repeat(32)}\n`)).toBe("ENOMEDIUM");
  expect(found("uninitialized\n")).toBe("ENOPKG");
  expect(found("no id")).toBe("EUCLEAN");
  expect(found(`${id}\n`)).toBe(id);
  expect(found(id.toUpperCase())).toBe(id);
});
