// Names on file systems that cannot rename without replacing: renameat2(2) with flags fails there with EINVAL.
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { renameNew } from "../../../src/kernel/tree/link.ts";
import { havePrograms } from "../../lib/programs.ts";
import { mountSilent } from "../../lib/silent-file-system.ts";
import { isRoot, scratchDirectory } from "../support.ts";

const canRun = isRoot && havePrograms("names on a FUSE file system", "python3");

test.skipIf(!canRun)(
  canRun
    ? "an existing name is not replaced, also not a dangling link"
    : "existing names (left out: needs root and python3)",
  async () => {
    using system = await mountSilent(join(scratchDirectory(), "fuse"), "never");
    using directory = openPath(system.path, "directory");
    const at = (name: string) => ({ directory, name });
    for (const name of ["link", "image"]) {
      expect(() => renameNew(at("image"), at(name))).toThrow("File exists");
    }
    renameNew(at("image"), at("other"));
    expect(() => renameNew(at("image"), at("other"))).toThrow();
    expect(() => renameNew(at("link"), at("other"))).toThrow("File exists");
    renameNew(at("other"), at("image"));
    expect(() => readdirSync(join(system.path, "image"))).toThrow("ENOTDIR");
  },
);
