// What the clients print in addition to systemd's texts: names and paths, and on a terminal a line that says what
// helps. Into a pipe, which a script may read, they print only the recorded texts.
import { describe, expect, test } from "bun:test";
import { SYNONYMS } from "../../src/cli/command-line/synonyms.ts";
import { findVerb } from "../../src/cli/command-line/verb-row.ts";
import { IMPORTCTL, runImportctl } from "../../src/cli/program/importctl.ts";
import { MACHINECTL, runMachinectl } from "../../src/cli/program/machinectl.ts";
import { FakeBusError, FakeManagers } from "../unit/cli/fake-managers.ts";
import { FakeProcess, type Surroundings, WORLDS, type World } from "../unit/cli/fake-world.ts";

const WORLD = WORLDS["two"] as World;
const TERMINAL: Surroundings = { columns: 200, env: { TERM: "dumb" } };

/** What a command line prints on stderr; `refusal` is the manager's answer to every call of a member. */
async function said(line: string | string[], around: Surroundings = {}, refusal?: { member: string; error: Error }) {
  const managers = new FakeManagers(WORLD);
  const bus = managers.bus.bind(managers);
  managers.bus = () => {
    const connection = bus();
    return {
      ...connection,
      call: (call) => (call.member === refusal?.member ? Promise.reject(refusal.error) : connection.call(call)),
    };
  };
  const process = new FakeProcess(WORLD, around, managers);
  const [program, ...args] = typeof line === "string" ? line.split(" ") : line;
  const status = await (program === "importctl" ? runImportctl : runMachinectl)(args, process);
  expect(status).toBe(1);
  return process.stderr.trimEnd();
}

describe("for a verb of another program, the error suggests the verb that does the same", () => {
  test.each([
    ["machinectl rm", "remove"],
    ["machinectl ls", "list"],
    ["machinectl ps", "list"],
    ["machinectl inspect", "show"],
    ["machinectl attach", "shell"],
    ["machinectl cp", "copy-to"],
    ["machinectl images", "list-images"],
    ["machinectl pull", "importctl pull-tar"],
    ["machinectl pull-oci", "importctl pull-oci"],
    ["machinectl log", "logs"],
    ["importctl pull", "pull-tar"],
    ["importctl ls", "list-images"],
    ["importctl images", "list-images"],
    ["importctl ps", "list-transfers"],
    ["importctl lst", "list-transfers"],
    ["importctl push", "push-oci"],
    ["importctl rm", "machinectl remove"],
  ])("%s", async (line, meant) => {
    expect(await said(line)).toBe(`Unknown command verb '${line.split(" ")[1]}', did you mean '${meant}'?`);
  });

  test("each suggested verb exists, and no word in the table is a verb of machinectl", () => {
    const programs = { machinectl: MACHINECTL, importctl: IMPORTCTL };
    for (const [word, command] of Object.entries(SYNONYMS)) {
      const [name = "", verb = ""] = command.split(" ");
      const program = Object.entries(programs).find(([known]) => known === name)?.[1];
      if (program !== undefined) expect(findVerb(program.verbs, verb), `${word}: ${command}`).toBeDefined();
      if (program !== IMPORTCTL) expect(findVerb(MACHINECTL.verbs, word), word).toBeUndefined();
    }
  });
});

describe("on a terminal an error has a line that says what helps", () => {
  test.each([
    ["machinectl status", "Too few arguments.\nUsage: machinectl status NAME…"],
    ["machinectl rename a", "Too few arguments.\nUsage: machinectl rename NAME NEWNAME"],
    ["machinectl list extra", "Too many arguments.\nUsage: machinectl list"],
    ["importctl pull-raw", "Too few arguments.\nUsage: importctl pull-raw URL [NAME]"],
  ])("%s", async (line, text) => {
    const utf8: Surroundings = { columns: 200, env: { TERM: "dumb", LANG: "C.UTF-8" } };
    expect((await said(line, utf8)).replaceAll("\r", "")).toBe(text);
    expect(await said(line)).toBe(text.split("\n")[0] ?? "");
  });

  test.each([
    ["machinectl list --jsn=short", "machinectl: unrecognized option '--jsn'\nDid you mean --json?"],
    ["machinectl list --colums=os", "machinectl: unrecognized option '--colums'\nDid you mean --columns?"],
    [
      "importctl list-images --clas=x",
      "Failed to parse --class= parameter: x\nPossible values: machine, portable, sysext, confext",
    ],
    ["machinectl list --frobnicate", "machinectl: unrecognized option '--frobnicate'"],
    ["machinectl list --x", "machinectl: unrecognized option '--x'"],
    [
      "importctl pull-raw u --verify=x",
      "Failed to parse --verify= setting: x\nPossible values: no, checksum, signature",
    ],
    ["machinectl list --json=x", "Unknown argument to --json= switch: x\nPossible values: pretty, short, off"],
    ["machinectl list --json-version=x", "Unknown argument to --json-version= switch: x\nPossible values: 1, 2"],
    ["machinectl start a --runner=x", "Failed to parse --runner= setting: x\nPossible values: nspawn, vmspawn"],
    ["machinectl run --pull=x a", "Failed to parse --pull= value: x\nPossible values: missing, always, never"],
    [
      "machinectl run --network=x a",
      "Failed to parse --network= value: x\nPossible values: host, none, veth, user, bridge:NAME, zone:NAME, interface:NAME, macvlan:NAME, ipvlan:NAME",
    ],
    [
      "importctl export-tar a --format=x",
      "Unknown format: x\nPossible values: uncompressed, xz, gzip, bzip2, zstd, lz4",
    ],
    ["machinectl kill a --signal=x", "Failed to parse signal string \"x\".\n'--signal=list' prints all signals"],
    ["machinectl exec --stdin=x a b", "Failed to parse --stdin= value: x\nPossible values: yes, no"],
    ["machinectl list --max-addresses=x", "Invalid number of addresses: x\nA number, or 'all'"],
    [
      "machinectl wait a --timeout=x",
      "Failed to parse --timeout= value: x\nA time is a number of seconds, or with units, as in 500ms or 1min 30s",
    ],
  ])("%s", async (line, text) => {
    const wide: Surroundings = { columns: 400, env: { TERM: "dumb" } };
    expect((await said(line, wide)).replaceAll("\r", "")).toBe(text);
    expect(await said(line)).toBe(text.split("\n")[0] ?? "");
  });

  test("the values of --output= are named as '--output=help' prints them", async () => {
    const process = new FakeProcess(WORLD, {});
    expect(await runMachinectl(["--output=help"], process)).toBe(0);
    const values = process.stdout.trim().split("\n").join(", ");
    expect((await said("machinectl status -o x", TERMINAL)).replaceAll("\r", "")).toBe(
      `Unknown output 'x'.\nPossible values: ${values}`,
    );
  });

  test("the hint about a missing machine differs from the one about a host that is down", async () => {
    const recorded = "Failed to connect to system scope bus via machine transport: Host is down";
    expect(await said("machinectl -M nosuch list")).toBe(recorded);
    expect((await said("machinectl -M nosuch list", TERMINAL)).replaceAll("\r", "")).toBe(
      `${recorded}\nNo machine 'nosuch' is registered. 'machinectl list' shows the machines of this host.`,
    );
  });

  test.each(["shell", "login"])(
    "the error of %s on a host without a bus names the verbs that need none",
    async (verb) => {
      const member = verb === "shell" ? "OpenMachineShell" : "OpenMachineLogin";
      const refusal = {
        member,
        error: new FakeBusError("org.freedesktop.DBus.Error.FileNotFound", "There is no system bus on this host."),
      };
      const recorded = await said(`machinectl ${verb} .host`, {}, refusal);
      expect(recorded).toBe(`Failed to get ${verb} PTY: There is no system bus on this host.`);
      expect((await said(`machinectl ${verb} .host`, TERMINAL, refusal)).replaceAll("\r", "")).toBe(
        `${recorded}\nThis takes a message bus and systemd; 'machinectl exec MACHINE COMMAND' runs commands in machines without either.`,
      );
    },
  );

  test.each(["remove mini", "rename mini other", "read-only mini", "clone mini other"])(
    "%s with an image that is in use",
    async (line) => {
      const members = { remove: "RemoveImage", rename: "RenameImage", "read-only": "MarkImageReadOnly" };
      const member = Object.entries(members).find(([verb]) => line.startsWith(verb))?.[1] ?? "CloneImage";
      const refusal = { member, error: new FakeBusError("System.Error.EBUSY", "Device or resource busy") };
      const recorded = await said(`machinectl ${line}`, {}, refusal);
      expect(recorded).toMatch(/^Could not [a-z -]+: Device or resource busy$/);
      expect((await said(`machinectl ${line}`, TERMINAL, refusal)).replaceAll("\r", "")).toBe(
        `${recorded}\nImage 'mini' is in use. If a machine runs from it, 'machinectl poweroff mini' ends that machine.`,
      );
    },
  );

  test("copy-to where the destination exists names --force", async () => {
    const exists = new FakeBusError("org.freedesktop.DBus.Error.FileExists", "File exists");
    const refusal = { member: "CopyToMachine", error: exists };
    expect((await said("machinectl copy-to mini /a /b", TERMINAL, refusal)).replaceAll("\r", "")).toBe(
      "Failed to copy '/a' to '/b' in machine 'mini': File exists\nWith --force, existing files are replaced.",
    );
  });

  test.each(["rename mini other", "clone mini other"])("%s with a name that an image has", async (line) => {
    const member = line.startsWith("rename") ? "RenameImage" : "CloneImage";
    const refusal = { member, error: new FakeBusError("org.freedesktop.DBus.Error.FileExists", "File exists") };
    const recorded = await said(`machinectl ${line}`, {}, refusal);
    expect(recorded).toMatch(/^Could not (rename|clone) image: File exists$/);
    expect((await said(`machinectl ${line}`, TERMINAL, refusal)).replaceAll("\r", "")).toBe(
      `${recorded}\nThere is an image 'other' already: choose another name, or 'machinectl remove other' removes it.`,
    );
  });
});

test("a name of an image is quoted in the command that a hint proposes: 'remove web old' would remove two others", async () => {
  const refusal = {
    member: "CloneImage",
    error: new FakeBusError("org.freedesktop.DBus.Error.FileExists", "File exists"),
  };
  const hint = async (name: string) =>
    (await said(["machinectl", "clone", "--", "mini", name], TERMINAL, refusal)).split("\n").at(-1);
  expect(await hint("web old")).toEndWith("or 'machinectl remove 'web old'' removes it.");
  expect(await hint("$(reboot)")).toEndWith("or 'machinectl remove '$(reboot)'' removes it.");
  expect(await hint("-a")).toEndWith("or 'machinectl remove -- -a' removes it.");
});

test("a message that the bus refuses is refused in the words of the original, without its header", async () => {
  const texts = [
    'Rejected send message, 2 matched rules; type="method_call", sender=":1.9" (uid=1000 pid=7 comm="bun")',
    "Sender is not authorized to send message",
    "",
  ];
  for (const text of texts) {
    const error = new FakeBusError("org.freedesktop.DBus.Error.AccessDenied", text);
    expect(await said("machinectl remove mini", {}, { member: "RemoveImage", error })).toBe(
      "Could not remove image: Access denied",
    );
  }
  const ours = new FakeBusError("org.freedesktop.DBus.Error.AccessDenied", "Only root may do that");
  expect(await said("machinectl remove mini", {}, { member: "RemoveImage", error: ours })).toBe(
    "Could not remove image: Only root may do that",
  );
});

describe("errors have the action and its objects", () => {
  const missing = new FakeBusError("org.freedesktop.DBus.Error.FileNotFound", "No such file or directory");
  const reason = "No such file or directory";
  test.each([
    [
      "copy-to mini /nonexist",
      "CopyToMachine",
      `Failed to copy '/nonexist' to '/nonexist' in machine 'mini': ${reason}`,
    ],
    ["copy-to mini /a /b", "CopyToMachine", `Failed to copy '/a' to '/b' in machine 'mini': ${reason}`],
    ["copy-from mini /a /b", "CopyFromMachine", `Failed to copy '/a' in machine 'mini' to '/b': ${reason}`],
    ["bind mini /a", "BindMountMachine", `Failed to bind mount '/a' in machine 'mini': ${reason}`],
    ["bind mini /a /b", "BindMountMachine", `Failed to bind mount '/a' to '/b' in machine 'mini': ${reason}`],
  ])("%s", async (line, member, text) => {
    expect(await said(`machinectl ${line}`, {}, { member, error: missing })).toBe(text);
  });

  test.each([
    ["poweroff", "org.varlink.service.InvalidParameter"],
    ["reboot", "org.varlink.service.InvalidParameter"],
    ["terminate", "org.varlink.service.InvalidParameter"],
    ["pause", "Invalid argument"],
    ["resume", "Invalid argument"],
  ])("%s with an empty name has a hint that names must not be empty", async (verb, reason) => {
    const text = `Failed to look up machine '': ${reason}`;
    expect(await said(`machinectl ${verb} `)).toBe(text);
    expect((await said(`machinectl ${verb} `, TERMINAL)).split(/\r?\n/)).toEqual([
      text,
      "The name of a machine must not be empty.",
    ]);
  });

  test.each(["pause", "resume"])("the error of %s with an unknown machine has no D-Bus error name", async (verb) => {
    expect(await said(`machinectl ${verb} nope`)).toBe("Failed to look up machine 'nope': No machine 'nope' known");
  });
});

test("exec without a command after the -- is a wrong command line", async () => {
  expect(await said("machinectl exec alpha --", TERMINAL)).toBe(
    "Too few arguments.\nexec needs a command; 'machinectl shell NAME' opens a shell.",
  );
});

test.each([
  ["of TERM=dumb", { TERM: "dumb" }],
  ["without TERM", {}],
])("top says that it needs more than a terminal %s", async (_what, env) => {
  expect(await said("machinectl top", { ...TERMINAL, env, stdoutIsTty: true })).toBe(
    "top needs a terminal with a cursor, and TERM names none; 'machinectl stats' prints the same numbers",
  );
});
