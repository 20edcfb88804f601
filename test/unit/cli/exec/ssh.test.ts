// The scripts that `machinectl exec` sends to other hosts and virtual machines over ssh, run by a shell.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecOrder } from "../../../../src/cli/exec/order.ts";
import { clientScript, guestScript, remoteScript } from "../../../../src/cli/exec/ssh.ts";
import type { Session } from "../../../../src/cli/session/session.ts";

const SETTINGS = { directory: null, environment: [], timeoutMs: 0, tty: false, detach: false, verbose: false };
const ORDER: ExecOrder = { machine: "deb1", user: "", command: ["ls", "it's", "$HOME", "-t"] };
/** As systemd-run(1) needs these words, so that the service manager passes them on as they are. */
const ESCAPED = "ls|it's|$$HOME|-t";
const STUB = `#!/bin/sh\nprintf '%s' "\${0##*/}"; printf '|%s' "$@"; echo\n`;
const OURS = `#!/bin/sh\n[ "$1" != --help ] || { echo '  exec MACHINE COMMAND…  Run a command'; exit 0; }\n${STUB.slice(10)}`;
const ORIGINAL = `#!/bin/sh\n[ "$1" != --help ] || { echo '  shell [[USER@]NAME [COMMAND...]]'; exit 0; }\nexit 1\n`;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "exec-ssh-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

function session(settings: object = {}): Session {
  return { settings: { ...SETTINGS, ...settings } } as unknown as Session;
}

/** Runs a script with programs that print their arguments; returns what is printed, and the exit status. */
function run(script: string, machinectl: string): [string, number] {
  for (const [name, text] of Object.entries({ machinectl, "systemd-run": STUB, ls: STUB, env: STUB, timeout: STUB })) {
    writeFileSync(join(directory, name), text, { mode: 0o755 });
  }
  const env = { PATH: `${directory}:/usr/bin:/bin` };
  const { stdout, stderr, exitCode } = Bun.spawnSync(["/bin/sh", "-c", script], { env });
  return [`${stdout}${stderr}`.trim(), exitCode];
}

describe("another host", () => {
  test("runs a verb that its client knows, and otherwise prints what helps", () => {
    const script = clientScript({ program: "machinectl", verb: "exec" }, ["machinectl", "exec", "it's"]);
    expect(run(script, OURS)).toEqual(["machinectl|exec|it's", 0]);
    const missing =
      "The machinectl of this host has no exec, or there is none: 'machined install' puts one there that has it";
    expect(run(script, ORIGINAL)).toEqual([missing, 1]);
    expect(run(clientScript({ program: "nosuchctl", verb: "stats" }, ["nosuchctl"]), OURS)).toEqual([
      "The nosuchctl of this host has no stats, or there is none: 'machined install' puts one there that has it",
      1,
    ]);
  });

  test("whose machinectl has exec gets the options and words of this call", () => {
    const settings = { directory: "/a b", environment: ["K=x y"], timeoutMs: 1500, tty: true, verbose: true };
    expect(run(remoteScript(session(settings), { ...ORDER, user: "u" }), OURS)).toEqual([
      "machinectl|exec|--chdir=/a b|--setenv=K=x y|--timeout=1500ms|--tty|--verbose|--|u@deb1|ls|it's|$HOME|-t",
      0,
    ]);
  });

  test("that has systemd's programs runs systemd-run with the options that both have", () => {
    const settings = { directory: "/a b", environment: ["K=x y"], tty: true };
    expect(run(remoteScript(session(settings), ORDER), ORIGINAL)).toEqual([
      `systemd-run|--quiet|--wait|--collect|--pty|--machine=deb1|--uid=root|--working-directory=/a b|--setenv=K=x y|--|${ESCAPED}`,
      0,
    ]);
  });

  test.each([{ timeoutMs: 1 }, { detach: true }])(
    "that has systemd's programs refuses options that systemd-run does not have: %p",
    (settings) => {
      const [text, status] = run(remoteScript(session(settings), ORDER), ORIGINAL);
      expect(text).toStartWith("The machinectl of this host has no verb 'exec'");
      expect(status).toBe(125);
    },
  );
});

describe("a virtual machine", () => {
  test("runs the command with the directory, the variables and the time limit", () => {
    const settings = { directory: directory, environment: ["K=x y"], timeoutMs: 1500 };
    expect(run(guestScript(session(settings), ORDER), OURS)).toEqual(["env|K=x y|timeout|2|ls|it's|$HOME|-t", 0]);
  });

  test("has timeout(1) in place of the login shell, so that a command with a terminal can read from it", () => {
    const script = guestScript(session({ directory, timeoutMs: 1500 }), ORDER);
    writeFileSync(join(directory, "timeout"), "#!/bin/sh\necho $PPID\n", { mode: 0o755 });
    const { stdout } = Bun.spawnSync(["/bin/sh", "-c", script], { env: { PATH: `${directory}:/usr/bin:/bin` } });
    expect(stdout.toString()).toBe(`${process.pid}\n`);
  });

  test("runs the plain command where no option is given", () => {
    expect(run(guestScript(session(), ORDER), OURS)).toEqual(["ls|it's|$HOME|-t", 0]);
  });

  test("starts a shell where no command is given, also with variables and in a directory", () => {
    const shell = { ...ORDER, command: [] };
    expect(guestScript(session(), shell)).toBe("");
    const settings = { directory, environment: ["K=x y"] };
    expect(run(guestScript(session(settings), shell), OURS)).toEqual(["env|K=x y|/bin/sh|-l", 0]);
    expect(run(`echo pwd | { ${guestScript(session({ directory }), shell)}; }`, OURS)).toEqual([directory, 0]);
  });

  test("does not run detached commands: --detach is refused", () => {
    expect(() => guestScript(session({ detach: true }), ORDER)).toThrow("--detach is for containers");
  });
});
