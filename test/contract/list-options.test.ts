// Lists with chosen columns, rows, order and format: their output, and their calls to the managers.
import { describe, expect, test } from "bun:test";
import { runMachinectl } from "../../src/cli/program/machinectl.ts";
import { ALPHA_ONLINE, DELTA, HOST, MINI } from "../unit/cli/fake-machines.ts";
import { FakeProcess, type Surroundings, WORLDS, type World } from "../unit/cli/fake-world.ts";

const WORLD: World = {
  ...(WORLDS["three"] as World),
  machines: [HOST, ALPHA_ONLINE, MINI, DELTA],
  nowUsec: ALPHA_ONLINE.since + 93_784_000_000n,
};
const BUS_ONLY: Surroundings = { sockets: ["system"] };

async function run(words: readonly string[], around: Surroundings = {}, world = WORLD) {
  const process = new FakeProcess(world, around);
  const status = await runMachinectl(words, process);
  const { managers, stdout, stderr } = process;
  return { status, stdout, stderr, members: managers.members, varlinkCalls: managers.varlinkCalls };
}

const WAYS: readonly (readonly [string, Surroundings])[] = [
  ["over Varlink", {}],
  ["over D-Bus", BUS_ONLY],
];

for (const [way, around] of WAYS) {
  describe(way, () => {
    test("properties of the manager can be columns", async () => {
      const columns = "--columns=name,unit,leader,owner,image,uptime";
      const { stdout, stderr } = await run(["list", columns, "--no-legend", "--sort=-uptime"], around);
      expect([stdout, stderr]).toEqual([
        [
          "alpha systemd-nspawn@alpha.service 528 root alpha 1d 2h",
          "mini  mini.scope                   808 root mini  1d 2h",
          "delta machine-delta.scope          809 root -     1d 2h",
          "",
        ].join("\n"),
        "",
      ]);
    });

    test("a template prints a line for each machine", async () => {
      const { stdout } = await run(["list", "--template={{name}} {{addresses.0}} {{leader}}"], around);
      expect(stdout).toBe("alpha 10.99.0.2 528\ndelta  809\nmini  808\n");
    });

    test("JSON of version 2 has all addresses as an array", async () => {
      const { stdout } = await run(["list", "--json=short", "--json-version=2", "--columns=machine,addresses"], around);
      expect(JSON.parse(stdout)).toEqual([
        { machine: "alpha", addresses: ["10.99.0.2", "10.99.0.3", "2001:db8::5", "fe80::1064:dff:fe1a:87ae"] },
        { machine: "delta", addresses: [] },
        { machine: "mini", addresses: [] },
      ]);
    });

    test("JSON has the named columns in their order, with their types", async () => {
      const { stdout } = await run(
        ["list", "-o", "json", "--columns=leader,name,uptime", "--filter=name=alpha"],
        around,
      );
      expect(stdout).toBe('[{"leader":528,"machine":"alpha","uptime":93784000000}]\n');
    });

    test("when no machine matches the filters, an empty array or 'No machines.' is printed", async () => {
      const filter = "--filter=class=host";
      expect((await run(["list", filter, "--json=short"], around)).stdout).toBe("[]\n");
      expect((await run(["list", filter], around)).stdout).toBe("No machines.\n");
      expect((await run(["list", filter, "--template={{name}}"], around)).stdout).toBe("");
      expect((await run(["list", "--all", filter, "--template={{name}}"], around)).stdout).toBe(".host\n");
    });
  });
}

describe("columns that are not needed are not requested", () => {
  const members = async (...words: string[]) => (await run(["list", ...words], BUS_ONLY)).members;
  const metadata = async (...words: string[]) => (await run(["list", ...words])).varlinkCalls.map((c) => c.parameters);

  test("a list of names needs one call", async () => {
    expect(await members("--columns=name,class")).toEqual(["ListMachines()"]);
    expect(await metadata("--columns=name,unit")).toEqual([{ acquireMetadata: "no" }]);
  });

  test("a list without options makes the same calls as systemd's", async () => {
    expect(await metadata()).toEqual([{ acquireMetadata: "graceful" }]);
    expect([...new Set(await members())]).toEqual([
      "ListMachines()",
      "GetMachineOSRelease(s)",
      "GetMachineAddresses(s)",
    ]);
  });

  test("columns that rows are filtered or sorted by are requested", async () => {
    expect(await members("--columns=name", "--filter=os=debian")).toContain("GetMachineOSRelease(s)");
    expect(await members("--columns=name", "--sort=addresses")).toContain("GetMachineAddresses(s)");
    expect(await members("--columns=name", "--sort=leader")).toContain("GetAll(s)");
  });

  test("no call is made for an unknown column, or for the list of columns", async () => {
    const { status, stderr, varlinkCalls } = await run(["list", "--columns=name,sevice"]);
    expect([status, varlinkCalls]).toEqual([1, []]);
    expect(stderr).toMatch(
      /^Unknown column 'sevice' of --columns=, did you mean 'service'\?\nThe columns are: machine, /,
    );
    const help = await run(["list", "--columns=help", "--no-legend"]);
    expect([help.status, help.varlinkCalls]).toEqual([0, []]);
    expect(help.stdout).toMatch(/^machine +text +The name of the machine$/m);
  });
});

test("--max-addresses=0 leaves out the column of addresses, unless --columns= names it", async () => {
  const head = async (...words: string[]) => (await run(["list", "--max-addresses=0", ...words])).stdout.split("\n")[0];
  expect(await head("--sort=name")).toBe("MACHINE CLASS     SERVICE        OS     VERSION");
  expect(await head("--columns=name,addresses")).toBe("MACHINE ADDRESSES");
});

test("--template= is refused together with another output format or with --columns=", async () => {
  for (const other of ["--json=short", "-ojson", "--columns=name"]) {
    const { status, stderr } = await run(["list", "--template={{name}}", other]);
    expect([status, stderr.startsWith("--template= ")]).toEqual([1, true]);
  }
});

test("abbreviations of systemd's options still work in spite of the new options", async () => {
  // In systemd, --s is ambiguous, --fo is --force, --j and --js are --json.
  expect((await run(["list", "--js=short"])).stdout).toBe((await run(["list", "--json=short"])).stdout);
  expect((await run(["list", "--so=-name", "--te={{name}}", "--fi=name=d*"])).stdout).toBe("delta\n");
});
