// How `machinectl run` interprets its words: images and their names, short names, settings of an image, nspawn's
// arguments.

import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isHostName } from "../../../../src/base/names.ts";
import type { ImageType } from "../../../../src/base/vocabulary/image-class.ts";
import { parseImageSettings, wordsOf } from "../../../../src/cli/run/image-settings.ts";
import { madeName, readImageWord, usualName } from "../../../../src/cli/run/image-word.ts";
import { type NspawnCircumstances, networkOptions, nspawnArguments } from "../../../../src/cli/run/nspawn.ts";
import { packOrder, type RunOrder, unpackOrder } from "../../../../src/cli/run/order.ts";
import { candidates, readRegistries } from "../../../../src/cli/run/short-names.ts";
import { checkNetwork, vmspawnArguments } from "../../../../src/cli/run/vmspawn.ts";
import { settingsOf } from "../../../../src/worker/oci/settings.ts";

const word = (text: string, ...here: string[]) => readImageWord(text, async (name) => here.includes(name));

describe("the image", () => {
  test("a local image is preferred to one in a registry, unless the word begins with oci:", async () => {
    expect(await word("debian", "debian")).toEqual({ kind: "local", name: "debian" });
    expect(await word("debian")).toMatchObject({ kind: "oci", remote: "debian" });
    expect(await word("oci:debian", "debian")).toMatchObject({ kind: "oci", remote: "debian" });
  });

  test("names of pulled images are derived from the word, are unique to it, and are valid as machine names", async () => {
    const words = [
      "debian:13",
      "debian:12",
      "quay.io/a/b:1",
      "quay.io/a-b:1",
      "localhost:5000/b:1",
      `b@sha256:${"0".repeat(64)}`,
    ];
    const names = await Promise.all([...words, ...words].map(async (text) => (await word(text)).name));
    expect(new Set(names).size).toBe(words.length);
    expect(names[0]).toMatch(/^debian-13-[0-9a-f]{12}$/);
    expect(names.filter((name) => !isHostName(name))).toEqual([]);
  });

  test("the suffix of a file name decides between tar and raw", async () => {
    expect(await word("https://x.example/a/debian.tar.xz?v=1")).toMatchObject({ kind: "tar" });
    expect(await word("https://x.example/disk.raw.zst")).toMatchObject({ kind: "raw" });
    expect(word("https://x.example/what")).rejects.toThrow("does not say whether");
    expect(word("Not/An_Image!")).rejects.toThrow("There is no local image");
  });

  test("images of long names, which differ at their ends, run as machines of different names", async () => {
    const [one, other] = await Promise.all(
      ["1.0.8", "1.0.9"].map((tag) => word(`dashboard-metrics-scraper-nightly:${tag}`)),
    );
    expect(usualName(one?.name ?? "")).toBe(one?.name ?? "none");
    expect(usualName(one?.name ?? "")).not.toBe(usualName(other?.name ?? ""));
  });

  test("any text is converted to a valid beginning of a machine name", () => {
    for (const text of ["a_b", "-x-", "..", "a..b", "x".repeat(99), "ä", "a.-b"])
      expect([text, isHostName(usualName(text)), isHostName(madeName(text))]).toEqual([text, true, true]);
    expect(isHostName(madeName("x".repeat(99)))).toBe(true);
    expect(madeName("a")).not.toBe(madeName("a"));
  });
});

describe("short names", () => {
  test("a short name is replaced by its alias, tried in all registries, or used unchanged", () => {
    const registries = { search: ["a.example", "b.example"], aliases: { tool: "c.example/x/tool" } };
    expect(candidates("tool:1", () => registries)).toEqual(["c.example/x/tool:1"]);
    expect(candidates("debian:13", () => registries)).toEqual(["a.example/debian:13", "b.example/debian:13"]);
    const unread = () => {
      throw new Error("read for a full name");
    };
    expect(candidates("q.example/debian", unread)).toEqual(["q.example/debian"]);
    expect(candidates("debian", () => ({ search: [], aliases: {} }))).toEqual(["debian"]);
  });

  test("later files override earlier ones, aliases are merged, and the error about invalid TOML names the file", () => {
    const top = mkdtempSync(join(tmpdir(), "machined-registries-"));
    mkdirSync(join(top, "registries.conf.d"));
    writeFileSync(join(top, "registries.conf"), 'unqualified-search-registries = ["a"]\n[aliases]\n"x" = "a/x"\n');
    writeFileSync(join(top, "registries.conf.d/1.conf"), '[aliases]\n"y" = "a/y"\n');
    expect(readRegistries([top])).toEqual({ search: ["a"], aliases: { x: "a/x", y: "a/y" } });
    writeFileSync(join(top, "registries.conf.d/2.conf"), "unqualified-search-registries = []\n");
    expect(readRegistries([top]).search).toEqual([]);
    writeFileSync(join(top, "registries.conf.d/3.conf"), "what is = this");
    expect(() => readRegistries([top])).toThrow("3.conf' as TOML");
    rmSync(top, { recursive: true });
  });

  test("a file or directory that is there and cannot be read, or has other types of values, is named", () => {
    const top = mkdtempSync(join(tmpdir(), "machined-registries-"));
    expect(readRegistries([top])).toEqual({ search: [], aliases: {} });
    mkdirSync(join(top, "registries.conf"));
    expect(() => readRegistries([top])).toThrow(`Cannot read '${top}/registries.conf'`);
    rmSync(join(top, "registries.conf"), { recursive: true });
    symlinkSync("registries.conf.d", join(top, "registries.conf.d"));
    expect(() => readRegistries([top])).toThrow(`Cannot read '${top}/registries.conf.d'`);
    rmSync(join(top, "registries.conf.d"));
    for (const [text, name] of [
      ['unqualified-search-registries = "a"', "unqualified-search-registries"],
      ["unqualified-search-registries = [1]", "unqualified-search-registries"],
      ["aliases = 1", "aliases"],
      ["[aliases]\nx = 1", "aliases"],
    ] as const) {
      writeFileSync(join(top, "registries.conf"), text);
      expect(() => readRegistries([top])).toThrow(`registries.conf': '${name}' is not`);
    }
    rmSync(top, { recursive: true });
  });
});

describe("settings beside an image", () => {
  test("what pull-oci writes is parsed to the same settings", () => {
    const config = {
      Entrypoint: ["/a b", 'say "x\\y"'],
      Cmd: ["$z"],
      Env: ["A=1 2", 'B="q"'],
      User: "app:grp",
      WorkingDir: "/w",
      StopSignal: "SIGQUIT",
    };
    expect(parseImageSettings(settingsOf(Buffer.from(JSON.stringify({ config }))) ?? "")).toEqual({
      boots: false,
      command: ["/a b", 'say "x\\y"', "$z"],
      user: "app",
      directory: "/w",
      environment: ["A=1 2", 'B="q"'],
      killSignal: "SIGQUIT",
    });
  });

  test("settings in other sections are ignored", () => {
    expect(parseImageSettings("[Network]\nUser=x\n")).toMatchObject({ boots: null, user: null, command: [] });
    expect(wordsOf('a "b c" d')).toEqual(["a", "b c", "d"]);
    expect(wordsOf(`"say "'"'"hi  x"'"' \\"a\\" 'it"s' ""`)).toEqual(['say "hi  x"', "\\a\\", 'it"s', ""]);
  });

  test("a name without a value is no variable: --setenv= would pass the caller's own value to the image", () => {
    const text = "[Exec]\nEnvironment=A=1 AWS_SECRET_ACCESS_KEY 'B=2 3' 1C=4 =5\nEnvironment=PATH\n";
    expect(parseImageSettings(text).environment).toEqual(["A=1", "B=2 3"]);
  });

  test("lines are continued, repeated and taken back, and comments left out, as systemd does", () => {
    const text = "[Exec]\nEnvironment=OLD=1\nEnvironment=\nEnvironment=A=1 \\\n# B=2\n  C=3\nEnvironment=D=4\\\\\n";
    expect(parseImageSettings(text).environment).toEqual(["A=1", "C=3", "D=4\\\\"]);
    expect(parseImageSettings("[Exec]\nParameters=/bin/a -b\nParameters=c\\\nd\\").command).toEqual([
      "/bin/a",
      "-b",
      "c",
      "d",
    ]);
    expect(parseImageSettings("[Exec]\r\nParameters=/bin/a\0Parameters=\n").command).toEqual([]);
  });
});

describe("nspawn's arguments", () => {
  const ORDER: RunOrder = {
    runner: "nspawn",
    image: "i",
    machine: "m",
    isTemporary: false,
    hasCommand: false,
    network: null,
    options: [],
    environment: ["A=b"],
  };
  const AROUND: NspawnCircumstances = {
    boots: false,
    keeper: "/run/machined-run/m/keeper",
    account: { uid: 7, gid: 8, groups: [9, 10], home: "/h" },
    hasManagedUsers: false,
    isConfigured: false,
  };
  const SETTINGS = { ...parseImageSettings(""), command: ["/p", "x"] };
  const made = (
    order: Partial<RunOrder>,
    around: Partial<NspawnCircumstances>,
    type: "subvolume" | "mstack" = "subvolume",
  ) => nspawnArguments({ ...ORDER, ...order }, { path: "/i", type }, SETTINGS, { ...AROUND, ...around });

  test("an init gets a private network and the variables; an image's program gets the host's network and its user", () => {
    expect(made({}, { boots: true })).toEqual(
      expect.arrayContaining(["--directory=/i", "--network-veth", "-U", "--setenv=A=b", "--boot"]),
    );
    const own = made({}, {});
    expect(own.slice(own.indexOf("--"))).toEqual(["--", "/run/machined-keeper", "as", "7", "8", "9,10", "/p", "x"]);
    expect(own.some((option) => option.startsWith("--network"))).toBe(false);
    expect(own).toContain("--settings=no");
    expect(made({}, { isConfigured: true })).not.toContain("--settings=no");
  });

  test("with a command, the machine's own program is replaced by one that only waits", () => {
    expect(made({ hasCommand: true }, {}).slice(-2)).toEqual(["--", "/run/machined-keeper"]);
  });

  test("a stack gets a private range of user ids only where the host manages such ranges", () => {
    expect(made({}, {}, "mstack")).toContain("--private-users=no");
    expect(made({}, { hasManagedUsers: true }, "mstack")).toContain("--private-users=managed");
  });

  test("--network= is mapped to nspawn's options, and --port= needs a network and an init", () => {
    expect(networkOptions("bridge:br0")).toEqual(["--network-bridge=br0"]);
    expect(networkOptions("moon")).toBeUndefined();
    expect(() => made({ options: ["--port=80"] }, {})).toThrow("--port= needs a network");
    expect(() => nspawnArguments(ORDER, { path: "/i", type: "raw" }, parseImageSettings(""), AROUND)).toThrow(
      "has no init",
    );
  });

  describe("of virtual machines", () => {
    const HELP = "--keep-unit --notify-ready=BOOL";
    const virtual = (order: Partial<RunOrder>, { help = HELP, hasVsock = true } = {}, type: ImageType = "raw") =>
      vmspawnArguments({ ...ORDER, runner: "vmspawn", ...order }, { path: "/i", type }, { help, hasVsock });

    test("name the image and a tap interface, and end with further options", () => {
      const made = virtual({ options: ["--ram=1G"] });
      expect(made).toEqual([
        "--quiet",
        "--register=yes",
        "--keep-unit",
        "--machine=m",
        "--image=/i",
        "--network-tap",
        "--ram=1G",
      ]);
      expect(virtual({ network: "user" }, {}, "subvolume").slice(-2)).toEqual([
        "--directory=/i",
        "--network-user-mode",
      ]);
      expect(virtual({ network: "none" }).at(-1)).toBe("--image=/i");
    });

    test("do not wait for a machine that cannot say that it has booted", () => {
      expect(virtual({}, { hasVsock: false })).toContain("--notify-ready=no");
      expect(virtual({ options: ["--vsock=no"] })).toContain("--notify-ready=no");
    });

    test("leave out what an older systemd-vmspawn does not know", () => {
      expect(virtual({}, { help: "", hasVsock: false })).toEqual([
        "--quiet",
        "--register=yes",
        "--machine=m",
        "--image=/i",
        "--network-tap",
      ]);
    });

    test("are an error for a stack of layers and for networks of containers", () => {
      expect(() => virtual({}, {}, "mstack")).toThrow("Image 'i' is a stack of layers");
      expect(() => checkNetwork("bridge:br0")).toThrow("A virtual machine has no network 'bridge:br0'");
      for (const network of [null, "none", "veth", "user"]) expect(() => checkNetwork(network)).not.toThrow();
    });
  });

  test("an order is encoded in letters without meaning to systemd, and decoded unchanged", () => {
    const order = { ...ORDER, options: ["%n $x", '"\\'], environment: ["Ä=ö\n"] };
    expect(packOrder(order)).toMatch(/^[\w-]+$/);
    expect(unpackOrder(packOrder(order))).toEqual(order);
  });
});
