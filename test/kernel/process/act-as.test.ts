import { expect } from "bun:test";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { MANY, rootTest, runScript, scratchDirectory } from "../support.ts";

const directory = scratchDirectory();

rootTest("files are created with another owner, and the process keeps its privileges", async () => {
  const { stdout, stderr } = await runScript(`
    import { makeFilesAs } from "./kernel/process/act-as.ts";
    import { createDirectory, createFile } from "./kernel/tree/link.ts";
    import { changeOwner } from "./kernel/file/ownership.ts";
    import { openPath } from "./kernel/file/fd.ts";
    for (let i = 0; i < ${MANY / 10}; i++) makeFilesAs({ uid: 524288, gid: 524289 });
    const directory = openPath(${JSON.stringify(directory)}, "directory");
    createDirectory({ directory, name: "dir" }, 0o700);
    const file = createFile({ directory, name: "file" }, 0o600);
    changeOwner(file, 7, 8);
    openPath("/etc/shadow", "read");
    console.log("done", process.getuid(), process.geteuid());
  `);
  expect(stderr).toBe("");
  expect(stdout).toBe("done 0 0\n");
  const [dir, file] = [lstatSync(join(directory, "dir")), lstatSync(join(directory, "file"))];
  expect([dir.uid, dir.gid, file.uid, file.gid]).toEqual([524288, 524289, 7, 8]);
});

rootTest(
  "after forbidInspection() the links in /proc/PID cannot be read without privileges in the initial user namespace",
  async () => {
    const { stdout, stderr } = await runScript(`
    import { forbidInspection } from "./kernel/process/dumpable.ts";
    const look = () => {
      // Root of a user namespace of its own: as privileged as a machine's root, and no more.
      const command = ["unshare", "--user", "--map-root-user", "readlink", "/proc/" + process.pid + "/exe"];
      return Bun.spawnSync(command, { stderr: "ignore" }).exitCode;
    };
    const before = look();
    for (let i = 0; i < ${MANY}; i++) forbidInspection();
    console.log(before, look());
  `);
    expect(stderr).toBe("");
    expect(stdout.split(" ")[1]?.trim()).toBe("1");
  },
);
