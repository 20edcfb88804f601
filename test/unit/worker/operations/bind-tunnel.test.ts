// The way of a read-only bind mount into a machine, where the mount cannot be attached.
import { expect } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { BindTunnel } from "../../../../src/worker/operations/bind-tunnel.ts";
import { rootTest } from "../../../kernel/support.ts";

rootTest("a mount that cannot be attached leaves nothing in the directory that the machine sees", () => {
  const scratch = mkdtempSync(join(tmpdir(), "tunnel-"));
  try {
    const at = (name: string) => join(scratch, name);
    const [incoming, directory, file] = [at("incoming"), at("directory"), at("file")];
    for (const path of [incoming, directory]) mkdirSync(path);
    writeFileSync(file, "");
    for (const path of [directory, file]) {
      // No mount of its own: the kernel refuses to move it.
      using mount = openPath(path, "path");
      expect(() => new BindTunnel(incoming, mount, "refused")).toThrow();
    }
    expect(readdirSync(incoming)).toEqual([]);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
