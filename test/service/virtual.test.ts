// machinectl with a virtual machine, which is reached by ssh(1) and scp(1). Both are simulated: ssh runs the command on
// this host, scp prints what it would copy.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, needsRoot, TestDaemon } from "../lib/daemon.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

setDefaultTimeout(GUARD_MS);

const MAIN = join(import.meta.dir, "../../src/main.ts");

const SSH = `#!/bin/sh
[ -z "$SSH_COMPLAINT" ] || { echo "$SSH_COMPLAINT" >&2; exit 255; }
for command; do :; done
sh -c "$command"; status=$?
cat >/dev/null # ssh(1) reads its standard input whether the command does or not
exit $status
`;
const SCP = `#!/bin/sh
[ -z "$SCP_COMPLAINT" ] || { printf %s "$SCP_COMPLAINT" >&2; exit 255; }
while [ "$1" != -- ]; do shift; done
echo "$2 > $3"
`;

describe.skipIf(!isRoot)(`a virtual machine${needsRoot}`, () => {
  const scratch = mkdtempSync(join(tmpdir(), "virtual-test-"));
  const path = (name: string) => join(scratch, name);
  let daemon: TestDaemon;
  let env: Record<string, string>;

  beforeAll(async () => {
    mkdirSync(path("bin"));
    writeFileSync(path("bin/ssh"), SSH, { mode: 0o755 });
    writeFileSync(path("bin/scp"), SCP, { mode: 0o755 });
    mkdirSync(path("directory"));
    mkdirSync(path("tree"));
    writeFileSync(path("file"), "content");
    daemon = await TestDaemon.start();
    env = { PATH: `${path("bin")}:${process.env["PATH"]}`, MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
    const leader = `--leader=${await daemon.leader()}`;
    const { code, stderr } = await run("register", "vm1", "--class=vm", leader, "--ssh-address=10.0.0.7");
    expect([code, stderr]).toEqual([0, ""]);
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true });
  });

  async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    return runWith({}, ...args);
  }

  async function runWith(added: Record<string, string>, ...args: string[]) {
    const argv = [process.execPath, MAIN, "machinectl", ...args];
    const child = Bun.spawn(argv, { env: { ...env, ...added }, stdio: ["ignore", "pipe", "pipe"] });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { code: await child.exited, stdout, stderr };
  }

  test("the error for a missing source of a copy names it, also with --force", async () => {
    expect(await run("copy-to", "--force", "vm1", path("nothing"), path("directory"))).toEqual({
      code: 1,
      stdout: "",
      stderr: `Failed to copy '${path("nothing")}' to '${path("directory")}' in machine 'vm1': No such file or directory\n`,
    });
    expect((await run("copy-to", "vm1", path("file/x"), path("new"))).stderr).toBe(
      `Failed to copy '${path("file/x")}' to '${path("new")}' in machine 'vm1': Not a directory\n`,
    );
  });

  test("a directory is copied into an existing directory by its content, a file by its name", async () => {
    const copies: [string[], string][] = [
      [["copy-from", "vm1", path("file"), path("directory")], `root@10.0.0.7:${path("file")} > ${path("directory")}`],
      [["copy-from", "vm1", path("tree"), path("directory")], `root@10.0.0.7:${path("tree")}/. > ${path("directory")}`],
      [["copy-to", "vm1", path("file"), path("directory")], `${path("file")} > root@10.0.0.7:${path("directory")}`],
      [["copy-to", "vm1", path("tree"), path("directory")], `${path("tree")}/. > root@10.0.0.7:${path("directory")}`],
      [["copy-to", "vm1", path("tree"), path("new")], `${path("tree")} > root@10.0.0.7:${path("new")}`],
    ];
    for (const [words, copied] of copies) {
      expect(await run("--force", ...words)).toEqual({ code: 0, stdout: `${copied}\n`, stderr: "" });
    }
  });

  test("a copy does not read the standard input of the calling script", async () => {
    const command = `"${process.execPath}" "${MAIN}" machinectl copy-to vm1 "${path("file")}" "${path("new")}"; cat`;
    const child = Bun.spawn(["/bin/sh", "-c", command], {
      env,
      stdin: new Blob(["the rest"]),
      stdout: "pipe",
      stderr: "inherit",
    });
    expect(await child.stdout.text()).toEndWith("\nthe rest");
  });

  test("a server without SFTP is recognised, and on a terminal a hint is printed", async () => {
    const complaint = "sh: 1: /usr/lib/openssh/sftp-server: not found\r\n\u001b[2Jscp: Connection closed\n";
    const words = ["copy-to", "vm1", path("file"), path("new")];
    const message = `Failed to copy '${path("file")}' to '${path("new")}' in machine 'vm1': scp failed with exit status 255\n`;
    expect((await runWith({ SCP_COMPLAINT: complaint }, ...words)).stderr).toBe(
      `${complaint.replace("\u001b", "\\x1b").replace("\r", "")}${message}`,
    );
    for (const said of [complaint, "subsystem request failed on channel 0\n"]) {
      let screen = "";
      const data = (_terminal: unknown, bytes: Uint8Array) => {
        screen += Buffer.from(bytes).toString();
      };
      const child = Bun.spawn([process.execPath, MAIN, "machinectl", ...words], {
        env: { ...env, TERM: "dumb", SCP_COMPLAINT: said },
        terminal: { cols: 300, rows: 20, data },
      });
      expect(await child.exited).toBe(1);
      child.terminal?.close();
      expect(screen).toContain("has no SFTP subsystem: install one in the machine (sftp-server(8))");
    }
  });

  test("a shell that ssh cannot start is an error; the exit status of a shell that ran is not", async () => {
    const SSH_COMPLAINT = "Host key verification failed.";
    const words = ["vm1", "/bin/sh", "-c", "exit 3"];
    const stderr = `${SSH_COMPLAINT}\n`;
    expect(await runWith({ SSH_COMPLAINT }, "shell", ...words)).toMatchObject({ code: 1, stderr });
    expect(await runWith({ SSH_COMPLAINT }, "shell", "--wait-status", ...words)).toMatchObject({ code: 255, stderr });
    expect(await run("shell", ...words)).toMatchObject({ code: 0, stderr: "" });
    expect(await run("shell", "--wait-status", ...words)).toMatchObject({ code: 3, stderr: "" });
  });
});
