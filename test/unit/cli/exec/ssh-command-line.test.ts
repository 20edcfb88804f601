// The command line of ssh(1), as other programs write it.
import { expect, test } from "bun:test";
import { parseSshCommandLine } from "../../../../src/cli/exec/ssh-command-line.ts";

const PLAIN = { user: "", host: "web", command: "true", wantsTerminal: false, readsInput: true };

test("the command line of Ansible is understood", () => {
  const words =
    '-C -o ControlMaster=auto -o ControlPersist=60s -o KbdInteractiveAuthentication=no -o User="admin" -o ConnectTimeout=10 -o ControlPath="/root/.ansible/cp/1" -tt web';
  expect(parseSshCommandLine([...words.split(" "), "/bin/sh -c 'echo ~ && echo ok'"])).toEqual({
    ...PLAIN,
    user: "admin",
    command: "/bin/sh -c 'echo ~ && echo ok'",
    wantsTerminal: true,
  });
});

test("the user is before the name, after -l, or in an option -o; the first one counts", () => {
  expect(parseSshCommandLine(["a@web", "true"])).toEqual({ ...PLAIN, user: "a" });
  expect(parseSshCommandLine(["-l", "b", "a@web", "true"])).toEqual({ ...PLAIN, user: "a" });
  expect(parseSshCommandLine(["-lb", "-o", "User=c", "web", "true"])).toEqual({ ...PLAIN, user: "b" });
  expect(parseSshCommandLine(["-oUser c", "web", "true"])).toEqual({ ...PLAIN, user: "c" });
});

test("words after the machine's name are the command, also those that look like options", () => {
  expect(parseSshCommandLine(["-nq", "web", "ls", "-l", "/a b"])).toEqual({
    ...PLAIN,
    command: "ls -l /a b",
    readsInput: false,
  });
  expect(parseSshCommandLine(["-p", "22", "--", "web", "true"])).toEqual(PLAIN);
});

test("options may follow the machine's name, and -- after it ends them", () => {
  expect(parseSshCommandLine(["web", "-n", "-l", "b", "--", "ls", "-l"])).toEqual({
    ...PLAIN,
    user: "b",
    command: "ls -l",
    readsInput: false,
  });
  expect(parseSshCommandLine(["web", "--", "true"])).toEqual(PLAIN);
  expect(parseSshCommandLine(["--", "web", "-n", "true"])).toEqual({ ...PLAIN, command: "-n true" });
  expect(parseSshCommandLine(["web", "-p"])).toBe("option requires an argument -- p");
  expect(parseSshCommandLine(["web", "--"])).toStartWith("no command is given");
});

test("the last of -t and -T counts", () => {
  expect(parseSshCommandLine(["-tT", "web", "true"])).toEqual(PLAIN);
  expect(parseSshCommandLine(["-T", "web", "-t", "true"])).toEqual({ ...PLAIN, wantsTerminal: true });
});

test("options that need ssh are refused", () => {
  for (const option of ["-L", "-R", "-D", "-W", "-J", "-N", "-f", "-O", "-s", "-w", "-M", "-z"]) {
    expect(parseSshCommandLine([option, "web", "true"])).toBe(`option ${option} is not supported`);
  }
  expect(parseSshCommandLine(["-o", "ControlPersist"])).toBe("no machine is given");
  expect(parseSshCommandLine(["-p"])).toBe("option requires an argument -- p");
  expect(parseSshCommandLine(["web"])).toStartWith("no command is given");
});
