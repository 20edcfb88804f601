// The clients as processes, with a daemon on its private socket: hosts without a bus.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { isRoot, needsRoot } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";
import { TestImportd } from "./import-support.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

describe.skipIf(!isRoot)(`clients without a bus${needsRoot}`, () => {
  let daemon: TestImportd;

  beforeAll(async () => {
    daemon = await TestImportd.start();
  });
  afterAll(() => daemon[Symbol.asyncDispose]());

  function spawn(command: string[]): Subprocess<"ignore", "pipe", "pipe"> {
    return Bun.spawn(command, {
      env: { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime, TZ: "UTC" },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
  }

  const start = (program: string, args: string[]) => spawn([process.execPath, MAIN, program, ...args]);

  async function run(program: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const child = start(program, args);
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { code: await child.exited, stdout, stderr };
  }

  test("a download is announced and followed, and a failed one ends with exit status 1", async () => {
    const done = await run("importctl", "-m", "pull-tar", "http://played/done.tar.gz");
    expect(done).toEqual({
      code: 0,
      stdout: "",
      stderr: expect.stringMatching(/^Enqueued transfer job \d+\. Press C-c to continue download in background\.\n$/),
    });
    const failed = await run("machinectl", "-q", "pull-raw", "http://played/fail.raw");
    expect(failed).toEqual({ code: 1, stdout: "", stderr: "It failed.\n" });
  });

  test("C135 the file of an export is created before the call, and standard output can be passed, too", async () => {
    const path = join(daemon.runtime, "out.tar.gz");
    expect((await run("importctl", "-m", "-q", "export-tar", "target", path)).code).toBe(0);
    expect(await Bun.file(path).text()).toBe("the content");
    // Bun's own pipes are sockets, which the daemon refuses.
    const pipeline = `"${process.execPath}" "${MAIN}" importctl -m -q export-raw target | cat; exit $PIPESTATUS`;
    const env = { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
    const piped = Bun.spawnSync(["bash", "-c", pipeline], { env });
    expect([piped.exitCode, piped.stdout.toString()]).toEqual([0, "the content"]);
    const early = join(daemon.runtime, "early.tar");
    const nowhere = { ...env, MACHINED_RUNTIME_DIRECTORY: "/nonexistent", DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/none" };
    const refused = Bun.spawnSync([process.execPath, MAIN, "importctl", "-m", "export-tar", "x", early], {
      env: nowhere,
    });
    expect(refused.exitCode).toBe(1);
    expect(await Bun.file(early).exists()).toBe(true);
    expect((await run("importctl", "-m", "export-tar", "x", "/dev/null")).stderr).toBe(
      "Failed to transfer image: Invalid argument\n",
    );
  });

  test("I101 an import reads a file or standard input", async () => {
    const file = join(daemon.runtime, "source.tar");
    writeFileSync(file, "12345");
    const { code, stderr } = await run("importctl", "-m", "import-tar", file, "source");
    expect([code, stderr.split("\n")[1]]).toEqual([0, "5"]);
    const script = 'printf 1234567 | "$@"';
    const importctl = [process.execPath, MAIN, "importctl", "-m", "import-tar", "-", "source"];
    const piped = spawn(["sh", "-c", script, "sh", ...importctl]);
    expect([(await piped.stderr.text()).split("\n")[1], await piped.exited]).toEqual(["7", 0]);
  });

  test("C134 Ctrl-C: the transfer continues, is listed, and can be cancelled", async () => {
    const child = start("importctl", ["-m", "pull-tar", "http://played/wait.tar"]);
    let stderr = "";
    for await (const chunk of child.stderr) {
      const isFirst = stderr === "";
      stderr += new TextDecoder().decode(chunk);
      // From this line on, the client handles the signal itself.
      if (isFirst) child.kill("SIGINT");
    }
    expect(await child.exited).toBe(1);
    const id = /^Enqueued transfer job (\d+)\. /.exec(stderr)?.[1] ?? "";
    expect(stderr).toContain(`Use "importctl cancel-transfer ${id}" to abort transfer.`);
    const listed = await run("importctl", "--json=short", "list-transfers");
    expect(JSON.parse(listed.stdout)).toEqual([
      {
        id: Number(id),
        progress: null,
        type: "pull-tar",
        class: "machine",
        local: "wait",
        remote: "http://played/wait.tar",
      },
    ]);
    expect(await run("importctl", "cancel-transfer", id)).toEqual({ code: 0, stdout: "", stderr: "" });
    await waitFor(async () => expect((await run("importctl")).stdout).toBe("No transfers.\n"), "the end");
  });

  test("an export to the image itself is refused before the file is emptied", async () => {
    const image = join(daemon.images, "var/lib/machines/own.raw");
    writeFileSync(image, "an image");
    symlinkSync(image, join(daemon.runtime, "link"));
    for (const path of [image, join(daemon.runtime, "link")]) {
      const { code, stderr } = await run("importctl", "-m", "export-raw", "own", path);
      expect([code, stderr]).toEqual([1, expect.stringContaining("is the image itself")]);
    }
    expect(await Bun.file(image).text()).toBe("an image");
    rmSync(image);
  });

  test("list-images works over the private socket", async () => {
    const { code, stdout } = await run("importctl", "-m", "list-images");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^CLASS +NAME +TYPE +PATH +RO +CRTIME +MTIME +USAGE LIMIT\nmachine \.host /);
  });
});
