// Names, URLs and references of transfers, and how daemon and workers parse texts.
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseOciReference } from "../../../src/base/vocabulary/oci-reference.ts";
import { isDownloadUrl } from "../../../src/base/vocabulary/transfer.ts";
import { exportName, formatOf, given, importName, pullName, stripSuffixes } from "../../../src/cli/transfer/names.ts";
import { type LogLine, LogLines } from "../../../src/importd/log-lines.ts";
import { pathsOf } from "../../../src/importd/paths.ts";
import { workerEnvironment, workerOverride } from "../../../src/importd/worker-command.ts";
import { requireReference, resolveReference } from "../../../src/oci/reference.ts";

test("I20 only http, https and file URLs can be downloaded", () => {
  for (const url of ["http://h/x", "https://h", "file:/x", "file:///x"]) expect(isDownloadUrl(url)).toBe(true);
  for (const url of ["", "http://", "ftp://h/x", "file:", "HTTP://h", "http://h/\u00e4", "http://h/\n"]) {
    expect(isDownloadUrl(url)).toBe(false);
  }
});

test("I132 references of container images may have ports and digests", () => {
  const digest = `sha256:${"0a".repeat(32)}`;
  expect(parseOciReference("debian")).toEqual({ registry: null, image: "debian", tag: null, digest: null });
  expect(parseOciReference("r.example:5000/a/b:1.2")).toEqual({
    registry: "r.example:5000",
    image: "a/b",
    tag: "1.2",
    digest: null,
  });
  expect(parseOciReference(`r.example:5000/a@${digest}`)?.digest).toBe(digest);
  expect(parseOciReference("r.example:5000/a")?.tag).toBe(null);
  expect(parseOciReference("[2001:db8::1]:5000/a:1")?.registry).toBe("[2001:db8::1]:5000");
  expect(parseOciReference("[::1]/a")?.registry).toBe("[::1]");
  expect(parseOciReference(`r/a:${"t".repeat(128)}`)?.tag?.length).toBe(128);
  for (const bad of [
    "[::1/a",
    "[]/a",
    "[1:2]/a",
    "[::1]x/a",
    "[::1]:/a",
    `r/a:${"t".repeat(129)}`,
    "",
    "bad ref::",
    "A",
    "a:",
    "r/.a",
    "a@sha256:1",
    "a//b",
    "r:x/a",
    "-r/a",
  ]) {
    expect([bad, parseOciReference(bad)]).toEqual([bad, undefined]);
  }
});

test("I124 I125 a reference is resolved by the host's rules; those in the administrator's directory win", async () => {
  const top = mkdtempSync(join(tmpdir(), "oci-rules-"));
  const folders = ["etc", "run", "local", "usr"].map((name) => join(top, name));
  const [etc, run, local, usr] = folders as [string, string, string, string];
  for (const folder of folders) mkdirSync(folder);
  const put = (folder: string, name: string, rules: object) =>
    writeFileSync(join(folder, `${name}.oci-registry`), JSON.stringify(rules));
  const urlOf = async (text: string) => {
    const { protocol, registry, image, version } = await resolveReference(requireReference(text), folders);
    return `${protocol}://${registry}/${image}:${version}`;
  };
  try {
    expect(await urlOf("debian")).toBe("https://registry-1.docker.io/library/debian:latest");
    expect(await urlOf("docker.io/debian:12")).toBe("https://registry-1.docker.io/library/debian:12");
    expect(await urlOf("docker.io/org/app")).toBe("https://registry-1.docker.io/org/app:latest");
    expect(await urlOf("fedora")).toBe("https://registry.fedoraproject.org/fedora:latest");
    expect(await urlOf("r.example:5000/a/b")).toBe("https://r.example:5000/a/b:latest");
    await expect(urlOf("unheard")).rejects.toThrow("No registry is known for image 'unheard'.");

    put(usr, "image.debian", { defaultRegistry: "usr.example", defaultTag: "stable", unknownKey: 1 });
    expect(await urlOf("debian")).toBe("https://usr.example/debian:stable");
    put(local, "image.debian", { defaultRegistry: "local.example" });
    expect(await urlOf("debian")).toBe("https://local.example/debian:latest");
    put(run, "image.debian", { defaultRegistry: "run.example", defaultProtocol: "file" });
    expect(await urlOf("debian")).toBe("file://run.example/debian:latest");
    put(etc, "image.debian", { defaultRegistry: "etc.example", overrideImage: "mirror/deb" });
    expect(await urlOf("debian:12")).toBe("https://etc.example/mirror/deb:12");
    put(usr, "default", { defaultRegistry: "any.example" });
    expect(await urlOf("unheard")).toBe("https://any.example/unheard:latest");
    put(etc, "registry.r.example%3A5000", { overrideRegistry: "mirror.example" });
    expect(await urlOf("r.example:5000/a")).toBe("https://mirror.example/a:latest");
  } finally {
    rmSync(top, { recursive: true });
  }
});

describe("names of images", () => {
  test("I101 have no suffix of the format", () => {
    expect(stripSuffixes("a.tar.xz", "tar")).toBe("a");
    expect(stripSuffixes("a.tgz", "tar")).toBe("a");
    expect(stripSuffixes("a.tar.zst", "tar")).toBe("a");
    expect(stripSuffixes("a.raw.xz", "raw")).toBe("a");
    expect(stripSuffixes("a.sysext.raw.gz", "raw")).toBe("a");
    expect(stripSuffixes("a.qcow2", "raw")).toBe("a");
    expect(stripSuffixes("a.tar", "fs")).toBe("a.tar");
  });

  test("of downloads are derived from the URL", () => {
    expect(pullName("http://h/d/i.tar.gz?token=1#x", undefined, "tar")).toBe("i");
    expect(pullName("http://h/d/i.tar.gz/", undefined, "tar")).toBe("i");
    expect(pullName("http://h/d", "-", "tar")).toBe("");
    expect(pullName("r.example/library/debian:12", undefined, "oci")).toBe("debian");
    for (const url of ["http://h", "https://h:80/"]) {
      expect(() => pullName(url, undefined, "tar")).toThrow("final component of URL: Cannot assign requested address");
    }
    expect(() => pullName("http:///", undefined, "tar")).toThrow("Failed to get final component of URL");
  });

  test("of imports are derived from the path; invalid ones are refused", () => {
    expect(importName("/d/x.tar.gz", undefined, "tar")).toBe("x");
    expect(importName("/d/x/", undefined, "fs")).toBe("x");
    expect(importName("/d/x/./", undefined, "fs")).toBe("x");
    for (const none of ["/", ".", "./.", "//"]) {
      expect(() => importName(none, undefined, "raw")).toThrow("name from filename: Cannot assign requested address");
    }
    expect(() => importName("d/..", undefined, "tar")).toThrow("name from filename: Invalid argument");
    for (const directory of ["d/", "d/."]) {
      expect(() => importName(directory, undefined, "raw")).toThrow("refers to directory, but we need a regular file");
    }
    expect(() => importName(null, undefined, "tar")).toThrow("Need either path or local name.");
    for (const none of ["", "-"]) expect(() => importName("/d/x.tar", none, "tar")).toThrow("Need either path or");
    expect(() => exportName("a/b")).toThrow("Image name a/b is not valid.");
    expect([given("-"), given(""), given(undefined), given("x")]).toEqual([null, null, null, "x"]);
    expect([formatOf("a.zst"), formatOf("a.bz2"), formatOf("a.tar"), formatOf(null)]).toEqual([
      "zstd",
      "bzip2",
      "",
      "",
    ]);
  });
});

describe("a worker's log", () => {
  const linesOf = (...parts: string[]) => {
    const lines: LogLine[] = [];
    const log = new LogLines((line) => lines.push(line));
    for (const part of parts) log.push(Buffer.from(part));
    log.flush();
    return lines.map(({ priority, text }) => `${priority} ${text}`);
  };

  test("is split into lines, wherever its pieces end", () => {
    expect(linesOf("<3", "0>one\n<2", "7>two", "\n", "three")).toEqual(["30 one", "27 two", "6 three"]);
  });

  test("I16 has a line of 2048 bytes as one line, and splits longer ones", () => {
    expect(linesOf(`${"a".repeat(2048)}\nb\n`).map((line) => line.length)).toEqual([2050, 3]);
    expect(linesOf(`${"a".repeat(5000)}\n`).map((line) => line.length - 2)).toEqual([2048, 2048, 904]);
  });
});

test("a worker inherits the variables for proxies and imports, and none that control the daemon", () => {
  const own = {
    https_proxy: "p",
    NO_PROXY: "n",
    SYSTEMD_IMPORT_SYNC: "0",
    LD_PRELOAD: "x",
    NOTIFY_SOCKET: "pid1",
    A: "b",
  };
  expect(workerEnvironment(own, { notifySocket: "/n", logLevel: "debug" })).toEqual({
    https_proxy: "p",
    NO_PROXY: "n",
    SYSTEMD_IMPORT_SYNC: "0",
    BUN_JSC_useFTLJIT: "0",
    MIMALLOC_PURGE_DELAY: "-1",
    SYSTEMD_LOG_TARGET: "console-prefixed",
    SYSTEMD_LOG_LEVEL: "debug",
    NOTIFY_SOCKET: "/n",
  });
  expect(workerOverride({ SYSTEMD_IMPORT_FS_PATH: "/x" }, "systemd-import-fs")).toBe("/x");
  expect(workerOverride({ SYSTEMD_IMPORT_FS_PATH: "" }, "systemd-import-fs")).toBeUndefined();
});

test("the system and each user have their own sockets and image directories", () => {
  const system = pathsOf("system", {});
  expect(system.varlink).toBe("/run/systemd/io.systemd.Import");
  expect(system.imageRoot("sysext")).toBe("/var/lib/extensions");
  const user = pathsOf("user", { XDG_RUNTIME_DIR: "/run/user/7", HOME: "/home/u" });
  expect(user.varlink).toBe("/run/user/7/systemd/io.systemd.Import");
  expect(user.imageRoot("machine")).toBe("/home/u/.local/state/machines");
  expect(() => pathsOf("user", {})).toThrow("$XDG_RUNTIME_DIR is not set");
});
