import { expect } from "bun:test";
import { join } from "node:path";
import { rootTest, runScript, scratchDirectory } from "../support.ts";

const directory = scratchDirectory();

rootTest("a mount is cloned, restricted, attached and unmounted, and nothing of it is visible outside", async () => {
  const { stdout, stderr } = await runScript(`
    import { mkdirSync, readFileSync, writeFileSync, existsSync } from "node:fs";
    import * as mount from "./kernel/mount/mount.ts";
    import { openPath } from "./kernel/file/fd.ts";
    import { mountFileSystem, unshareMountNamespace } from ${JSON.stringify(join(import.meta.dir, "../../lib/kernel-calls.ts"))};
    const base = ${JSON.stringify(directory)};
    unshareMountNamespace();
    for (const name of ["from", "to", "tmp"]) mkdirSync(base + "/" + name);
    writeFileSync(base + "/from/file", "content");
    using source = openPath(base + "/from", "path");
    using target = openPath(base + "/to", "path");
    using clone = mount.cloneMount(source, "one");
    mount.setMountAttributes(clone, { readOnly: true, noExec: true }, "one");
    mount.attachMount(clone, target);
    console.log(readFileSync(base + "/to/file", "utf8"));
    try { writeFileSync(base + "/to/file", "x"); } catch (error) { console.log(error.code); }
    mount.setMountAttributes(clone, { readOnly: false }, "one");
    writeFileSync(base + "/to/file", "new");
    console.log(readFileSync(base + "/from/file", "utf8"));
    try { mount.unmount(base + "/from"); } catch (error) { console.log(error.errnoName); }
    mount.unmount(base + "/to", "lazy");
    console.log(existsSync(base + "/to/file"));
    mountFileSystem("tmpfs", "tmpfs", base + "/tmp", "size=1m");
    writeFileSync(base + "/tmp/inside", "x");
  `);
  expect(stderr).toBe("");
  expect(stdout).toBe("content\nEROFS\nnew\nEINVAL\nfalse\n");
  expect(await Bun.file(join(directory, "tmp/inside")).exists()).toBe(false);
});

rootTest("a worker enters the mount namespace of a process", async () => {
  const { stdout, stderr } = await runScript(`
    import { existsSync, readFileSync } from "node:fs";
    import { enterMountNamespace } from "./kernel/mount/mount.ts";
    import { PidRef } from "./kernel/process/pidref.ts";
    const script = "mount -t tmpfs tmpfs ${directory} && echo inside > ${directory}/mark && exec sleep 1000";
    const child = Bun.spawn(["unshare", "--mount", "sh", "-c", script], { stdio: ["ignore", "ignore", "inherit"] });
    using process_ = PidRef.of(child.pid);
    while (!existsSync("/proc/" + child.pid + "/root${directory}/mark")) await new Promise(setImmediate);
    enterMountNamespace(process_);
    console.log(readFileSync("${directory}/mark", "utf8").trim());
    process_.kill(9);
    process.exit(0);
  `);
  expect({ stdout, stderr }).toEqual({ stdout: "inside\n", stderr: "" });
});
