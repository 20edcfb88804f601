import { expect, test } from "bun:test";
import { findVerb, type VerbRow } from "../../../../src/cli/command-line/verb-row.ts";
import { hostsOf, wordsFor } from "../../../../src/cli/hosts/names.ts";
import { VERBS } from "../../../../src/cli/program/verbs.ts";
import { Failure } from "../../../../src/cli/session/failure.ts";

const HOSTS = ["a", "u@b:22", "a/inner"];
const FILES: Readonly<Record<string, string>> = { "/f": "# ours\nx\n\n  y:22 # second\nz#z\n" };
const WINDOWS = "\ufeff# ours\r\nx\r\nu@[fe80::1%eth0]:22\r\n\r\nx\r\n[::1]";
const TWO = "x\n\ny z # words\n";
const readText = async (path: string) => {
  const text = FILES[path];
  if (text === undefined) throw new Failure(`Cannot read hosts from '${path}'`);
  return text;
};

function said(verb: string, ...words: string[]): Record<string, string[] | null> {
  const row = findVerb(VERBS, verb) as VerbRow;
  return Object.fromEntries(HOSTS.map((host) => [host, wordsFor(host, HOSTS, row, words)]));
}

test("hosts are read from words and files, in order, each once", async () => {
  expect(await hostsOf("b,@/f,a,,b", readText)).toEqual(["b", "x", "y:22", "z#z", "a"]);
  await expect(hostsOf("a,@/g", readText)).rejects.toThrow("Cannot read hosts from '/g'");
  await expect(hostsOf(",", readText)).rejects.toThrow("',' names no host");
  await expect(hostsOf("a,-oProxyCommand=x/../y z", readText)).rejects.toThrow("names no host");
});

test("files of hosts may have CR LF, a byte order mark, repeated hosts, IPv6 addresses and no last line end", async () => {
  expect(await hostsOf("@f", async () => WINDOWS)).toEqual(["x", "u@[fe80::1%eth0]:22", "[::1]"]);
  const many = Array.from({ length: 500 }, (_, number) => `h${number}`);
  expect(await hostsOf("@f", async () => many.join("\n"))).toEqual(many);
});

test("a line that is no host is an error with the file and the number of the line", async () => {
  const of = (text: string) => hostsOf("@/f", async () => text);
  await expect(of(TWO)).rejects.toThrow("/f:3: 'y z' names no host");
  await expect(of("x\ny,z")).rejects.toThrow("/f:2: 'y,z' names no host");
  await expect(of("-oProxyCommand=x")).rejects.toThrow("/f:1: '-oProxyCommand=x' names no host");
  await expect(of("@/g")).rejects.toThrow("/f:1: '@/g' names no host");
  await expect(of("# none\n")).rejects.toThrow("'@/f' names no host");
  await expect(of("fe80::1")).rejects.toMatchObject({
    message: expect.stringContaining("'fe80::1' names no host"),
    hint: "An IPv6 address is written in brackets: [fe80::1]",
  });
});

test("NAME means the machine on every host, HOST/NAME on one; the longest matching host wins", () => {
  expect(said("poweroff", "web")).toEqual({ a: ["web"], "u@b:22": ["web"], "a/inner": ["web"] });
  expect(said("poweroff", "a/web", "u@b:22/db", "u@b:22/web")).toEqual({
    a: ["web"],
    "u@b:22": ["db", "web"],
    "a/inner": null,
  });
  expect(said("status", "a/inner/web")).toEqual({ a: null, "u@b:22": null, "a/inner": ["web"] });
  expect(() => said("poweroff", "c/web")).toThrow("'c/web' names a host that is not among those of -H");
});

test("words that name no machine or image are passed to every host", () => {
  expect(said("rename", "a/old", "new")).toEqual({ a: ["old", "new"], "u@b:22": null, "a/inner": null });
  expect(said("exec", "a/web,db", "ls", "/a/b")).toEqual({
    a: ["web,db", "ls", "/a/b"],
    "u@b:22": ["db", "ls", "/a/b"],
    "a/inner": ["db", "ls", "/a/b"],
  });
  expect(said("pull-tar", "http://c/d.tar", "d")["a"]).toEqual(["http://c/d.tar", "d"]);
});
