import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runMachinectl } from "../../../../src/cli/program/machinectl.ts";
import { startAgentChild } from "../../../../src/cli/session/agent-child.ts";
import { findPager, runChild } from "../../../../src/cli/session/child.ts";
import { waitFor } from "../../../lib/wait-for.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

let directory = "";

function program(name: string, script: string): string {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "machinectl-child-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe("runChild", () => {
  test("returns the output, with the added environment, whatever the exit status", async () => {
    const path = program("says", 'echo "$GREETING $1"; echo hidden >&2; exit 3');
    expect(await runChild({ argv: [path, "you"], env: { GREETING: "hello" } })).toBe("hello you\n");
  });

  test("requests output without colours, also where the environment requests colours", async () => {
    const before = process.env["SYSTEMD_COLORS"];
    process.env["SYSTEMD_COLORS"] = "1";
    try {
      const path = program("paints", 'echo "$SYSTEMD_COLORS"');
      expect(await runChild({ argv: [path] })).toBe("0\n");
      expect(await runChild({ argv: [path], env: { SYSTEMD_COLORS: "16" } })).toBe("16\n");
    } finally {
      if (before === undefined) delete process.env["SYSTEMD_COLORS"];
      else process.env["SYSTEMD_COLORS"] = before;
    }
  });

  test("returns null for a program that is not installed", async () => {
    expect(await runChild({ argv: ["no-such-program-here"] })).toBeNull();
  });
});

describe("findPager", () => {
  test("starts the first pager that is installed and waits until it ends", async () => {
    const [shown, quit] = [join(directory, "shown"), join(directory, "quit")];
    Bun.spawnSync(["mkfifo", quit]);
    const path = program("pages", `sed s/^/page:/ > "${shown}"; read -r _ < "${quit}"; echo done >> "${shown}"`);
    const pager = findPager([{ argv: ["no-such-program-here"] }, { argv: [path] }])?.();
    pager?.write("one\n");
    pager?.write("two\n");
    const closed = pager?.close() as Promise<void>;
    await waitFor(() => expect(readFileSync(shown, "utf8")).toBe("page:one\npage:two\n"), "the pages");
    expect(Bun.peek.status(closed)).toBe("pending");
    writeFileSync(quit, "q\n");
    await closed;
    expect(readFileSync(shown, "utf8")).toBe("page:one\npage:two\ndone\n");
  });

  test("tells when the pager has read what was written, or was left", async () => {
    const go = join(directory, "go");
    Bun.spawnSync(["mkfifo", go]);
    const start = () => findPager([{ argv: [program("waits", `read -r word < "${go}"; $word >/dev/null`)] }])?.();
    for (const word of ["cat", "true"]) {
      const pager = start();
      pager?.write("x".repeat(1 << 20));
      const drained = pager?.drained() as Promise<void>;
      await new Promise((resolve) => setImmediate(resolve));
      expect(Bun.peek.status(drained)).toBe("pending");
      writeFileSync(go, `${word}\n`);
      await drained;
      await pager?.close();
    }
  });

  test("does not wait for a pager that was left early", async () => {
    const pager = findPager([{ argv: [program("quits", "head -c 1 >/dev/null")] }])?.();
    for (let i = 0; i < 100; i++) pager?.write("x".repeat(100_000));
    await pager?.close();
    expect(pager?.write("more")).toBe(false);
  });

  test("writes nothing more to a pager that does not read any more and still runs", async () => {
    const [deaf, go] = [join(directory, "deaf"), join(directory, "go-on")];
    Bun.spawnSync(["mkfifo", go]);
    const pager = findPager([{ argv: [program("closes", `exec <&-; touch "${deaf}"; read -r _ < "${go}"`)] }])?.();
    await waitFor(() => expect(existsSync(deaf)).toBe(true), "the end of reading");
    for (let i = 0; i < 100; i++) pager?.write("x".repeat(100_000));
    await pager?.drained();
    expect(pager?.write("more")).toBe(false);
    writeFileSync(go, "\n");
    await pager?.close();
  });

  test("returns null if no pager is installed", () =>
    expect(findPager([{ argv: ["no-such-program-here"] }])).toBeNull());

  test("returns null at the start for a program that cannot be executed", () => {
    const path = join(directory, "empty");
    writeFileSync(path, "#!/no/such/interpreter\n", { mode: 0o755 });
    expect(findPager([{ argv: [path] }])?.()).toBeNull();
  });
});

describe("startAgentChild", () => {
  test("waits until the agent closes the notify descriptor; dispose() terminates the agent (C118)", async () => {
    const ready = join(directory, "ready");
    const ended = join(directory, "ended");
    const script = [
      `[ "$1 $2 $3" = "--fallback --notify-fd 3" ] || exit 1`,
      `trap 'touch "${ended}"; exit 0' TERM`,
      `touch "${ready}"`,
      "exec 3>&-",
      "while :; do sleep 0.01; done",
    ];
    const path = program("agent", script.join("\n"));
    const agent = await startAgentChild({ argv: [path, "--fallback"], waitForReady: true });
    expect(existsSync(ready)).toBe(true);
    expect(existsSync(ended)).toBe(false);
    agent?.stop();
    await waitFor(() => expect(existsSync(ended)).toBe(true), "the agent's end");
  });

  test("a verb continues without an agent that cannot be executed", async () => {
    const path = join(directory, "broken");
    writeFileSync(path, "#!/no/such/interpreter\n", { mode: 0o755 });
    const world = WORLDS["one"] as World;
    const client = new FakeProcess(world, { columns: 100, euid: 1000, env: { TERM: "dumb", SYSTEMD_COLORS: "0" } });
    client.startAgent = ({ waitForReady }) => startAgentChild({ argv: [path], waitForReady });
    expect(await runMachinectl(["kill", "alpha"], client)).toBe(0);
    expect(client.stderr).toBe(`Failed to start 'pkttyagent', which asks for passwords: No such file or directory\n`);
    expect(await runMachinectl(["start", "alpha"], client)).toBe(0);
    expect(client.stderr).toContain("Failed to start 'systemd-tty-ask-password-agent', which asks for passwords: ");
  });

  test("does not wait for an agent that exits before it is ready", async () => {
    const agent = await startAgentChild({ argv: [program("fails", "exit 1")], waitForReady: true });
    expect(agent).not.toBeNull();
  });

  test("returns null for a program that is not installed", async () => {
    expect(await startAgentChild({ argv: ["no-such-program-here"], waitForReady: true })).toBeNull();
  });
});
