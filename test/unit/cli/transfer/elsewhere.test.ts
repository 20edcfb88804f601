// Imports and exports with -H: descriptors of files do not pass ssh(1).
import { expect, test } from "bun:test";
import { runImportctl } from "../../../../src/cli/program/importctl.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

class Opening extends FakeProcess {
  readonly opened: (string | number)[] = [];

  override openFile = async (file: string | number): Promise<never> => {
    this.opened.push(file);
    throw new Error("not to be opened");
  };
}

test("imports and exports on another host say that no file gets there, and open none", async () => {
  for (const words of [
    ["import-tar", "/f.tar", "web"],
    ["import-tar", "-", "web"],
    ["import-raw", "/f.raw", "web"],
    ["import-fs", "/d", "web"],
    ["export-tar", "web", "/f.tar"],
    ["export-raw", "web"],
  ]) {
    const process = new Opening(WORLDS["one"] as World);
    const status = await runImportctl(["-H", "host", "-m", ...words], process);
    expect([process.stderr, status, process.opened]).toEqual([
      "Failed to transfer image: A file of this host cannot be passed to 'host'\n",
      1,
      [],
    ]);
  }
});
