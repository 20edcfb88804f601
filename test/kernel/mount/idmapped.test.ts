import { expect } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { mapMountIds } from "../../../src/kernel/mount/idmapped.ts";
import { cloneMount } from "../../../src/kernel/mount/mount.ts";
import { openNamespace } from "../../../src/kernel/process/namespace.ts";
import { MANY, rootTest, runScript, scratchDirectory, startNamespaced } from "../support.ts";
import { mountedFileSystem } from "../tree-support.ts";

const directory = scratchDirectory();

rootTest("an idmapped mount shows its files as owned by users of a user namespace", async () => {
  const files = mountedFileSystem("ext4", 16);
  if (files === null) return;
  mkdirSync(join(files, "dir"));
  writeFileSync(join(files, "dir/file"), "x");
  await using machine = await startNamespaced(["--user"]);
  for (const kind of ["uid_map", "gid_map"]) writeFileSync(`/proc/${machine.pid}/${kind}`, "0 700000 1000\n");
  const script = `
    import { lstatSync } from "node:fs";
    import { Fd, openAt, openPath, statFd } from "./kernel/file/fd.ts";
    import { mapMountIds } from "./kernel/mount/idmapped.ts";
    import { cloneMount } from "./kernel/mount/mount.ts";
    import { openNamespace } from "./kernel/process/namespace.ts";
    const mount = cloneMount(openPath(${JSON.stringify(join(files, "dir"))}, "path"), "one");
    mapMountIds(mount, openNamespace(${machine.pid}, "user"));
    const { uid, gid } = statFd(openAt(mount, "file", "path"));
    console.log(uid, gid);
  `;
  const { stdout, stderr } = await runScript(script);
  expect(stderr).toBe("");
  expect(stdout).toBe("700000 700000\n");
});

rootTest("a file system that does not support idmapped mounts is an error, in every call", () => {
  using proc = openPath("/proc/sys", "path");
  using mount = cloneMount(proc, "one");
  using users = openNamespace("self", "user");
  for (let i = 0; i < MANY / 5; i++) expect(() => mapMountIds(mount, users)).toThrow();
});

rootTest("a thread can leave a mount namespace again", async () => {
  const mark = join(directory, "mark");
  mkdirSync(mark);
  await using machine = await startNamespaced(["--mount"], `mount -t tmpfs inside '${mark}' && touch '${mark}/inside'`);
  const { stdout, stderr } = await runScript(`
    import { readdirSync } from "node:fs";
    import { enterMountNamespace } from "./kernel/mount/mount.ts";
    import { currentMountNamespace, moveToMountNamespace } from "./kernel/mount/mount-namespace.ts";
    import { PidRef } from "./kernel/process/pidref.ts";
    const host = currentMountNamespace();
    const look = () => readdirSync(${JSON.stringify(mark)}).join();
    let out = look();
    for (let i = 0; i < 1000; i++) {
      enterMountNamespace(PidRef.of(${machine.pid}));
      if (i === 0) out += "-" + look();
      moveToMountNamespace(host);
    }
    console.log(out + "-" + look());
  `);
  expect(stderr).toBe("");
  expect(stdout).toBe("-inside-\n");
});
