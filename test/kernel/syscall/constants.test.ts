// The numbers of src/kernel/syscall/constants.ts: those that the runtime knows too agree with it, and no file repeats
// one.
import { describe, expect, test } from "bun:test";
import { constants as fileConstants } from "node:fs";
import { constants as hostConstants } from "node:os";
import { join } from "node:path";
import { Glob } from "bun";
import { errnoNumber } from "../../../src/base/errno.ts";
import * as constants from "../../../src/kernel/syscall/constants.ts";

const SOURCES = join(import.meta.dir, "../../../src");
const NAMES = Object.keys(constants);

describe("constants of the kernel's interface", () => {
  test("flags of open(2) have the values that Node's fs.constants have", () => {
    const known = Object.entries(fileConstants).filter(([name]) => name.startsWith("O_") && NAMES.includes(name));
    expect(known.length).toBeGreaterThan(5);
    for (const [name, value] of known) expect({ name, value: Reflect.get(constants, name) }).toEqual({ name, value });
  });

  test("errors are the negated numbers of the table of errors, and of Node's os.constants", () => {
    const errors = NAMES.filter((name) => /^E[A-Z0-9]+$/.test(name));
    expect(errors.length).toBeGreaterThan(20);
    for (const name of errors) {
      const value = Reflect.get(constants, name) as number;
      expect({ name, value }).toEqual({ name, value: -(errnoNumber(name) ?? Number.NaN) });
      const ofHost = Reflect.get(hostConstants.errno, name) as number | undefined;
      if (ofHost !== undefined) expect({ name, value }).toEqual({ name, value: -ofHost });
    }
  });

  test("are declared in no other file below src", async () => {
    const declared = new RegExp(`\\bconst (?:(${NAMES.join("|")}) =|\\[[^\\]]*\\b(${NAMES.join("|")})\\b[^\\]]*\\] =)`);
    const repeated: string[] = [];
    for (const file of new Glob("**/*.ts").scanSync(SOURCES)) {
      if (file === "kernel/syscall/constants.ts") continue;
      const match = declared.exec(await Bun.file(join(SOURCES, file)).text());
      if (match !== null) repeated.push(`${file}: ${match[1] ?? match[2]}`);
    }
    expect(repeated).toEqual([]);
  });
});
