// Pulls from correct servers, and from faulty ones.
import { expect, setDefaultTimeout, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as openpgp from "openpgp";
import { isRoot, rootTest } from "../kernel/support.ts";
import { needsRoot } from "../lib/daemon.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import {
  entries,
  FaultyServer,
  type RawRequest,
  RawServer,
  runWorker,
  Scratch,
  spooledBytes,
  startWorker,
} from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const scratch = new Scratch();
const server = new FaultyServer();
const sha256 = (bytes: Buffer | string) => createHash("sha256").update(bytes).digest("hex");
const LONG = GUARD_MS;

const TREE = archive({ name: "./", type: "5", mode: 0o755 }, { name: "etc/motd", data: "hello" });
const PACKED = gzipSync(TREE);
const DISK = Buffer.concat([randomBytes(300_000), Buffer.alloc(2 << 20), randomBytes(100_000)]);

const pull = (kind: "tar" | "raw", root: string, url: string, ...rest: string[]) =>
  runWorker("systemd-pull", [
    kind,
    `--image-root=${root}`,
    ...rest.filter((word) => word.startsWith("--")),
    url,
    ...rest.filter((word) => !word.startsWith("--")),
  ]);

function sums(folder: string, ...files: string[]): string {
  return files
    .map((file) => `${sha256(Buffer.from(server.pages[`${folder}/${file}`]?.body ?? ""))}  ${file}\n`)
    .join("");
}

function publish(folder: string, file: string, body: Buffer, headers: Record<string, string> = {}): string {
  server.pages[`${folder}/${file}`] = { body, headers, ranges: true };
  return server.url(`${folder}/${file}`);
}

rootTest("I51, I58, I75, I76: a disk image is pulled with its side files, verified by checksums", async () => {
  const root = scratch.root();
  const url = publish("all", "disk.raw", DISK, { ETag: '"abc.1"', "Last-Modified": "Sat, 03 Feb 2001 04:05:06 GMT" });
  for (const suffix of [".nspawn", ".roothash", ".roothash.p7s", ".verity"])
    publish("all", `disk${suffix}`, Buffer.from(suffix));
  const names = ["disk.raw", "disk.nspawn", "disk.roothash", "disk.roothash.p7s", "disk.verity"];
  server.pages["all/SHA256SUMS"] = { body: sums("all", ...names).replace("  disk.raw", " *disk.raw") };
  const { code, log } = await pull("raw", root, url, "--verify=checksum", "img");
  expect(log).toContain("SHA256 checksum of disk.raw is valid.");
  expect(log).toEndWith("Operation completed successfully.\nExiting.\n");
  expect(code).toBe(0);
  expect(readFileSync(join(root, "img.raw")).equals(DISK)).toBe(true);
  expect(statSync(join(root, "img.raw")).blocks * 512).toBeLessThan(DISK.length / 2);
  expect(statSync(join(root, "img.raw")).mode & 0o777).toBe(0o644);
  for (const suffix of [".nspawn", ".roothash", ".roothash.p7s", ".verity"]) {
    expect(readFileSync(join(root, `img${suffix}`), "utf8")).toBe(suffix);
  }
  const kept = entries(root).find((name) => name.startsWith(".raw-") && name.endsWith(".raw")) ?? "";
  expect(kept).toContain("\\x22abc\\x2e1\\x22.raw");
  expect(statSync(join(root, kept)).mode & 0o777).toBe(0o444);
  expect(statSync(join(root, kept)).mtime.toISOString()).toBe("2001-02-03T04:05:06.000Z");
  expect(server.asked("all/disk.raw")[0]?.get("user-agent")).toStartWith("systemd-pull/");
  expect(server.asked("all/disk.raw.sha256").length).toBe(1);
});

rootTest("a date of before 1970, which servers send for an unknown one, is no obstacle", async () => {
  const root = scratch.root();
  const url = publish("undated", "disk.raw", DISK, { "Last-Modified": "Wed, 31 Dec 1969 23:59:59 GMT" });
  expect((await pull("raw", root, url, "--verify=no", "img")).code).toBe(0);
  const kept = entries(root).find((name) => name.startsWith(".raw-") && name.endsWith(".raw")) ?? "";
  expect(statSync(join(root, kept)).mtimeMs).toBe(-1000);
});

rootTest(
  "I52, I54, I87, I108: while the ETag is current, a new copy is made without a download and without checksums",
  async () => {
    const root = scratch.root();
    const url = publish("etag", "t.tar.gz", PACKED, { ETag: '"v1"' });
    server.pages["etag/SHA256SUMS"] = { body: sums("etag", "t.tar.gz") };
    expect((await pull("tar", root, url, "--verify=checksum", "one")).code).toBe(0);
    delete server.pages["etag/SHA256SUMS"];
    expect((await pull("tar", root, url, "--verify=checksum", "two")).code).toBe(0);
    expect(server.asked("etag/t.tar.gz").at(-1)?.get("if-none-match")).toBe('"v1"');
    expect(readFileSync(join(root, "two/etc/motd"), "utf8")).toBe("hello");
    const third = await pull("tar", root, url, "--verify=checksum", "two");
    expect([third.code, third.log]).toEqual([1, expect.stringContaining("Image 'two' already exists.")]);
  },
);

rootTest(
  "I59: a download of a long URL is cached under its hash, and found again; an ETag that is too long for a name is left out",
  async () => {
    const root = scratch.root();
    const name = `${"long/".repeat(60)}t.tar`;
    const url = publish("deep", name, TREE, { ETag: '"v1"' });
    for (const local of ["one", "two"]) expect((await pull("tar", root, url, "--verify=no", local)).code).toBe(0);
    const isHashed = expect.stringMatching(/^\.tar-[0-9a-f]{16}\.\\x22v1\\x22$/);
    expect(entries(root)).toEqual([isHashed, "one", "two"]);
    expect(server.asked(`deep/${name}`)[1]?.get("if-none-match")).toBe('"v1"');
    const other = scratch.root();
    const tagged = publish("tagged", "t.tar", TREE, { ETag: `"${"a".repeat(4000)}"` });
    for (const local of ["one", "two"]) expect((await pull("tar", other, tagged, "--verify=no", local)).code).toBe(0);
    expect(entries(other)).toEqual([expect.stringMatching(/^\.tar-[0-9a-f]{16}$/), "one", "two"]);
  },
);

rootTest("a pull of an address with very many kept downloads sends the tags of the latest ones only", async () => {
  const root = scratch.root();
  mkdirSync(root);
  const url = publish("many", "m.raw", DISK, { ETag: '"latest"' });
  const dot = (text: string) => text.replace(/[/.]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
  const kept = (tag: string) => join(root, `.raw-${dot(url)}.\\x22${tag}\\x22.raw`);
  for (let day = 0; day < 500; day++) writeFileSync(kept(`day-${day}-${"x".repeat(20)}`), "old");
  const changed = (tag: string) => statSync(kept(tag), { bigint: true }).ctimeNs;
  // The kernel's clock of files advances every few milliseconds.
  do writeFileSync(kept("latest"), DISK);
  while (changed("latest") <= changed(`day-499-${"x".repeat(20)}`));
  const { code } = await pull("raw", root, url, "--verify=no", "m");
  const sent = server.asked("many/m.raw")[0]?.get("if-none-match") ?? "";
  expect([code, sent.slice(0, 8), sent.length <= 4096, sent.length > 3000]).toEqual([0, '"latest"', true, true]);
  expect(readFileSync(join(root, "m.raw")).equals(DISK)).toBe(true);
});

rootTest("settings that the server had not when a download was kept come with a later image of it", async () => {
  const root = scratch.root();
  const url = publish("late", "l.raw", DISK, { ETag: '"late"' });
  server.pages["late/SHA256SUMS"] = { body: sums("late", "l.raw") };
  expect((await pull("raw", root, url, "--verify=checksum", "before")).code).toBe(0);
  publish("late", "l.nspawn", Buffer.from("[Exec]"));
  const unlisted = await pull("raw", root, url, "--verify=checksum", "unlisted");
  expect([unlisted.code, unlisted.log]).toEqual([0, expect.stringContaining("Leaving out 'l.nspawn'.")]);
  server.pages["late/SHA256SUMS"] = { body: sums("late", "l.raw", "l.nspawn") };
  expect((await pull("raw", root, url, "--verify=checksum", "after")).code).toBe(0);
  expect(server.asked("late/l.raw").at(-1)?.get("if-none-match")).toBe('"late"');
  expect(entries(root).filter((name) => name.endsWith(".nspawn"))).toEqual(["after.nspawn"]);
});

rootTest("settings that were changed on the server come with a later image of a kept download", async () => {
  const root = scratch.root();
  const url = publish("changed", "c.raw", DISK, { ETag: '"changed"' });
  const settings = (local: string) => readFileSync(join(root, `${local}.nspawn`), "utf8");
  for (const local of ["one", "two"]) {
    publish("changed", "c.nspawn", Buffer.from(`# ${local}\n`));
    server.pages["changed/SHA256SUMS"] = { body: sums("changed", "c.raw", "c.nspawn") };
    expect((await pull("raw", root, url, "--verify=checksum", local)).code).toBe(0);
    expect(settings(local)).toBe(`# ${local}\n`);
  }
  publish("changed", "c.nspawn", Buffer.from("not listed"));
  const { code, log } = await pull("raw", root, url, "--verify=checksum", "three");
  expect([code, log]).toEqual([0, expect.stringContaining("Leaving out 'c.nspawn'.")]);
  expect(settings("three")).toBe("# one\n");
});

rootTest("I53: the download ends when the ETag of a full answer is that of the cached one", async () => {
  const root = scratch.root();
  server.pages["stubborn.tar"] = {
    answer: () => new Response(new Uint8Array(TREE), { headers: { ETag: '"same"' } }),
  };
  expect((await pull("tar", root, server.url("stubborn.tar"), "--verify=no", "a")).code).toBe(0);
  const kept = lstatSync(join(root, entries(root)[0] ?? "")).ino;
  expect((await pull("tar", root, server.url("stubborn.tar"), "--verify=no", "b")).code).toBe(0);
  expect(lstatSync(join(root, entries(root)[0] ?? "")).ino).toBe(kept);
});

rootTest(
  "I109, I110: a second pull without ETag replaces the cached download; with --keep-download=no nothing is cached",
  async () => {
    const root = scratch.root();
    const url = publish("plain", "p.tar", TREE);
    for (const name of ["a", "b"]) expect((await pull("tar", root, url, "--verify=no", name)).code).toBe(0);
    expect(entries(root).filter((name) => name.startsWith(".tar-")).length).toBe(1);
    const other = scratch.root();
    expect((await pull("tar", other, url, "--verify=no", "--keep-download=no", "c")).code).toBe(0);
    expect(entries(other)).toEqual(["c"]);
    const third = scratch.root();
    expect((await pull("tar", third, url, "--verify=no", "-")).code).toBe(0);
    expect(entries(third).map((name) => name.slice(0, 5))).toEqual([".tar-"]);
  },
);

rootTest("I77, I78, I79: a file that is not in the checksums stops the pull, and no file stays", async () => {
  const root = scratch.root();
  const url = publish("bad", "b.tar", TREE);
  const without = await pull("tar", root, url, "--verify=checksum");
  expect(without.log).toContain("Failed to retrieve SHA256 checksum, cannot verify.");
  server.pages["bad/SHA256SUMS"] = { body: `${"0".repeat(64)}  b.tar\n` };
  const wrong = await pull("tar", root, url, "--verify=checksum");
  expect(wrong.log).toContain("DOWNLOAD INVALID: Checksum of b.tar file did not check out");
  server.pages["bad/SHA256SUMS"] = { body: sums("bad", "b.tar") };
  publish("bad", "b.nspawn", Buffer.from("[Exec]"));
  const side = await pull("tar", root, url, "--verify=checksum");
  expect(side.log).toContain("Checksum of b.nspawn file did not check out");
  expect([without.code, wrong.code, side.code]).toEqual([1, 1, 1]);
  expect(entries(root)).toEqual([]);
  expect((await pull("tar", root, url, "--verify=checksum", "--settings=no")).code).toBe(0);
});

rootTest("I85: a hash in --verify= is compared, and no side file is downloaded", async () => {
  const root = scratch.root();
  const url = publish("literal", "l.tar", TREE);
  publish("literal", "l.nspawn", Buffer.from("x"));
  expect((await pull("tar", root, url, `--verify=${sha256(TREE)}`)).code).toBe(0);
  expect(server.asked("literal/l.nspawn").length).toBe(0);
  const wrong = await pull("tar", root, url, `--verify=${"1".repeat(64)}`, "other");
  expect([wrong.code, existsSync(join(root, "other"))]).toEqual([1, false]);
});

rootTest("I55, I56, I57: redirects are followed to http and https only, and missing files are errors", async () => {
  const root = scratch.root();
  publish("there", "r.tar", TREE);
  server.pages["here.tar"] = { answer: () => Response.redirect(server.url("there/r.tar"), 302) };
  expect((await pull("tar", root, server.url("here.tar"), "--verify=no")).code).toBe(0);
  expect(entries(root).join()).toContain("here\\x2etar");
  const choices = { status: 300, headers: { Location: "there/r.tar" } };
  server.pages["several.tar"] = { answer: () => new Response("choose one", choices) };
  expect((await pull("tar", root, server.url("several.tar"), "--verify=no")).code).toBe(0);
  expect(entries(root).join()).toContain("several\\x2etar");
  const missing = await pull("tar", root, server.url("nothing.tar"), "--verify=no");
  expect(missing.log).toContain("Failed to retrieve image file. (Wrong URL?)");
  for (const target of ["file:///etc/passwd", "ftp://x/y", "gopher://x"]) {
    server.pages["evil.tar"] = { answer: () => new Response(null, { status: 302, headers: { Location: target } }) };
    const { code, log } = await pull("tar", root, server.url("evil.tar"), "--verify=no");
    expect([code, log]).toEqual([1, expect.stringContaining(`Refusing redirect to '${target}'`)]);
  }
  server.pages["loop.tar"] = { answer: () => Response.redirect(server.url("loop.tar"), 302) };
  expect((await pull("tar", root, server.url("loop.tar"), "--verify=no")).log).toContain("Too many redirects");
});

rootTest("the login of a URL is sent again after a redirect to the same server, and to no other", async () => {
  const root = scratch.root();
  const elsewhere = new FaultyServer();
  const withLogin = (url: string) => url.replace("//", "//us:p%40w@");
  const login = `Basic ${Buffer.from("us:p@w").toString("base64")}`;
  publish("guarded", "g.tar", TREE);
  elsewhere.pages["back"] = { answer: () => Response.redirect(server.url("guarded/g.tar"), 302) };
  server.pages["direct.tar"] = { answer: () => Response.redirect(server.url("guarded/g.tar"), 302) };
  server.pages["around.tar"] = { answer: () => Response.redirect(elsewhere.url("back"), 302) };
  for (const page of ["direct.tar", "around.tar"]) {
    expect((await pull("tar", root, withLogin(server.url(page)), "--verify=no")).code).toBe(0);
    expect(server.asked(page).map((headers) => headers.get("authorization"))).toEqual([login]);
  }
  expect(server.asked("guarded/g.tar").map((headers) => headers.get("authorization"))).toEqual([login, login]);
  expect(elsewhere.asked("back").map((headers) => headers.get("authorization"))).toEqual([null]);
});

function cutting(body: Buffer, options: { etag?: string; ranges: boolean; pieces: number }) {
  return ({ path, from, count }: RawRequest) => {
    if (path !== "big.raw" && path !== "big.tar.gz") return null;
    const start = options.ranges ? from : 0;
    const tag = options.etag === undefined ? [] : [`ETag: ${options.etag}`];
    const head = [
      start > 0 ? "206 Partial Content" : "200 OK",
      `Content-Length: ${body.length - start}`,
      ...tag,
      ...(start > 0 ? [`Content-Range: bytes ${start}-${body.length - 1}/${body.length}`] : []),
    ];
    const piece = Math.ceil((body.length * count) / options.pieces);
    return {
      head,
      body: body.subarray(
        start,
        options.ranges ? Math.min(start + Math.ceil(body.length / options.pieces), body.length) : piece,
      ),
    };
  };
}

rootTest(
  "I62: a download is resumed each time the connection is cut",
  async () => {
    const root = scratch.root();
    const cut = new RawServer(cutting(DISK, { etag: '"s"', ranges: true, pieces: 4 }));
    const { code, log } = await pull("raw", root, cut.url("big.raw"), `--verify=${sha256(DISK)}`);
    expect(log).toContain("Resuming the download at");
    expect(code).toBe(0);
    expect(readFileSync(join(root, "big.raw")).equals(DISK)).toBe(true);
    const froms = cut.requests.filter(({ path }) => path === "big.raw").map(({ from }) => from);
    expect(froms[0]).toBe(0);
    expect(froms.at(-1)).toBeGreaterThan(DISK.length / 2);
  },
  LONG,
);

rootTest(
  "I63: when a server ignores Range and sends everything again, the bytes are compared",
  async () => {
    const root = scratch.root();
    const cut = new RawServer(cutting(DISK, { ranges: false, pieces: 3 }));
    const { code } = await pull("raw", root, cut.url("big.raw"), `--verify=${sha256(DISK)}`);
    expect(code).toBe(0);
    expect(readFileSync(join(root, "big.raw")).equals(DISK)).toBe(true);
  },
  LONG,
);

for (const ranges of [true, false]) {
  rootTest(
    `I62, I63, I114: a download that is written in place is resumed after cuts, too, ${ranges ? "with" : "without"} ranges, and needs no other space`,
    async () => {
      const root = scratch.root();
      const target = join(scratch.path, `in-place-${ranges}`);
      const cut = new RawServer(cutting(DISK, { etag: '"s"', ranges, pieces: 3 }));
      const { code, log } = await pull("raw", root, cut.url("big.raw"), `--verify=${sha256(DISK)}`, "--direct", target);
      expect([code, code === 0 ? "" : log]).toEqual([0, ""]);
      expect(cut.requests.length).toBeGreaterThan(2);
      expect(readFileSync(target).equals(DISK)).toBe(true);
      expect(existsSync(root)).toBe(false);
    },
    LONG,
  );
}

rootTest("a download that is written in place fails when the server has another file after a cut", async () => {
  const target = join(scratch.path, "changed");
  const changing = new RawServer(({ path, count }) => {
    if (path !== "big.raw") return null;
    const body = Buffer.alloc(4 << 20, count);
    return { head: ["200 OK", `Content-Length: ${body.length}`], body: count === 1 ? body.subarray(0, 2 << 20) : body };
  });
  const { code, log } = await pull("raw", scratch.root(), changing.url("big.raw"), "--verify=no", "--direct", target);
  expect([code, log]).toEqual([1, expect.stringContaining("The file on the server has changed")]);
});

rootTest(
  "I64: a file that changed after a cut is downloaded again",
  async () => {
    const root = scratch.root();
    const first = Buffer.alloc(16 << 20, 1);
    const changing = new RawServer(({ path, count }) => {
      if (path !== "big.raw") return null;
      if (count === 1)
        return { head: ["200 OK", `Content-Length: ${first.length}`, 'ETag: "1"'], body: first.subarray(0, 8 << 20) };
      return { head: ["200 OK", `Content-Length: ${DISK.length}`, 'ETag: "2"'], body: DISK };
    });
    const { code, log } = await pull("raw", root, changing.url("big.raw"), `--verify=${sha256(DISK)}`);
    expect(log).toContain("The file on the server has changed, starting again.");
    expect(code).toBe(0);
    expect(readFileSync(join(root, "big.raw")).equals(DISK)).toBe(true);
    expect(entries(root).filter((name) => name.startsWith(".#"))).toEqual([]);
  },
  LONG,
);

rootTest(
  "a worker that is killed leaves no image, and the next one resumes its download",
  async () => {
    const root = scratch.root();
    const half = DISK.length >> 1;
    const stalling = new RawServer(({ path, from, count }) => {
      if (path !== "big.raw") return null;
      const range = from > 0 ? [`Content-Range: bytes ${from}-${DISK.length - 1}/${DISK.length}`] : [];
      const head = [
        from > 0 ? "206 Partial Content" : "200 OK",
        `Content-Length: ${DISK.length - from}`,
        'ETag: "s"',
        ...range,
      ];
      if (count > 1) return { head, body: DISK.subarray(from) };
      return { head, body: DISK.subarray(0, half), after: "wait" };
    });
    const child = startWorker("systemd-pull", [
      "raw",
      `--image-root=${root}`,
      `--verify=${sha256(DISK)}`,
      stalling.url("big.raw"),
    ]);
    await waitFor(() => expect(spooledBytes(root)).toBe(half), "the first half");
    child.kill("SIGKILL");
    await child.exited;
    expect(entries(root).filter((name) => !name.startsWith(".#"))).toEqual([]);
    const { code, log } = await pull("raw", root, stalling.url("big.raw"), `--verify=${sha256(DISK)}`);
    expect(log).toContain(`Found ${half} bytes of an earlier download.`);
    expect(code).toBe(0);
    expect(stalling.requests.at(-1)?.from).toBe(half);
    expect(entries(root).filter((name) => name.startsWith(".#"))).toEqual([]);
  },
  LONG,
);

rootTest(
  "I35: a worker that gets SIGTERM logs that it stops, and cleans up",
  async () => {
    const root = scratch.root();
    const stalling = new RawServer(({ path }) => {
      if (path !== "s.tar.gz") return null;
      return { head: ["200 OK", `Content-Length: ${PACKED.length}`], body: PACKED.subarray(0, 60), after: "wait" };
    });
    const child = startWorker(
      "systemd-pull",
      ["tar", `--image-root=${root}`, "--verify=no", stalling.url("s.tar.gz")],
      {
        SYSTEMD_LOG_TARGET: "console-prefixed",
      },
    );
    await waitFor(() => expect(spooledBytes(root)).toBe(60), "the first bytes");
    child.kill("SIGTERM");
    expect(await child.stderr.text()).toEndWith("<29>Transfer aborted.\n<30>Exiting.\n");
    expect(await child.exited).toBe(4);
    expect(entries(root)).toEqual([]);
  },
  LONG,
);

rootTest("a download is kept where its checksums cannot be fetched because a connection fails", async () => {
  const root = scratch.root();
  const gone = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("") });
  const away = `Location: http://127.0.0.1:${gone.port}/`;
  await gone.stop(true);
  const half = PACKED.length >> 1;
  const stalling = new RawServer(({ path }) => {
    if (path.includes("sha256") || path.includes("SHA256")) return { head: ["302 Found", away, "Content-Length: 0"] };
    if (path !== "s.tar.gz") return null;
    const head = ["200 OK", `Content-Length: ${PACKED.length}`, 'ETag: "s"'];
    return { head, body: PACKED.subarray(0, half), after: "wait" };
  });
  const { code, log } = await pull("tar", root, stalling.url("s.tar.gz"), "--verify=checksum");
  expect([code, log]).toEqual([1, expect.stringContaining("failed: Connection refused")]);
  expect(entries(root).map((name) => name.replace(/[0-9a-f]{16}/, ""))).toEqual([".#pull-.part", ".#pull-.state"]);
  expect(spooledBytes(root)).toBe(half);
});

rootTest(
  "a worker that gets SIGINT logs that it stops, and the next one resumes its download",
  async () => {
    const root = scratch.root();
    const half = PACKED.length >> 1;
    const head = (from: number) => [
      from > 0 ? "206 Partial Content" : "200 OK",
      `Content-Length: ${PACKED.length - from}`,
      'ETag: "s"',
      ...(from > 0 ? [`Content-Range: bytes ${from}-${PACKED.length - 1}/${PACKED.length}`] : []),
    ];
    const stalling = new RawServer(({ path, from, count }) => {
      if (path !== "s.tar.gz") return null;
      if (count > 1) return { head: head(from), body: PACKED.subarray(from) };
      return { head: head(0), body: PACKED.subarray(0, half), after: "wait" };
    });
    const url = stalling.url("s.tar.gz");
    const child = startWorker("systemd-pull", ["tar", `--image-root=${root}`, "--verify=no", url]);
    await waitFor(() => expect(spooledBytes(root)).toBe(half), "the first half");
    child.kill("SIGINT");
    expect(await child.stderr.text()).toEndWith("Transfer aborted.\nExiting.\n");
    expect(await child.exited).toBe(4);
    expect(entries(root).map((name) => name.replace(/[0-9a-f]{16}/, ""))).toEqual([".#pull-.part", ".#pull-.state"]);
    const { code, log } = await pull("tar", root, url, "--verify=no");
    expect(log).toContain(`Resuming the download at ${half} of ${PACKED.length} bytes.`);
    expect(code).toBe(0);
    expect(stalling.requests.at(-1)?.from).toBe(half);
    expect(entries(root).filter((name) => name.startsWith(".#"))).toEqual([]);
  },
  LONG,
);

test.skipIf(!isRoot).each([
  ["SHA256SUMS", "SHA256SUMS.gpg"],
  ["x.raw.sha256", "x.raw.sha256.asc"],
])(
  `a list of checksums can be downloaded itself: %s is verified by %s only${needsRoot}`,
  async (name, signatureName) => {
    const root = scratch.root();
    const { privateKey } = await openpgp.generateKey({ userIDs: [{ name: "x" }], format: "object" });
    const ring = join(scratch.path, `${name}.pgp`);
    writeFileSync(ring, privateKey.toPublic().write() as Uint8Array);
    const list = Buffer.from(`${"0".repeat(64)}  image_2.raw\n`);
    const message = await openpgp.createMessage({ binary: new Uint8Array(list) });
    const signature = await openpgp.sign({ message, signingKeys: privateKey, detached: true, format: "binary" });
    const url = publish(`lists-${name}`, name, list);
    const args = ["raw", "--direct", `--image-root=${root}`];
    const run = (mode: string) =>
      runWorker("systemd-pull", [...args, `--verify=${mode}`, url, "-"], { SYSTEMD_OPENPGP_KEYRING: ring });
    expect(await run("checksum")).toMatchObject({ code: 0, stdout: list });
    expect((await run("signature")).log).toContain("Failed to retrieve signature file");
    publish(`lists-${name}`, signatureName, Buffer.from(signature as Uint8Array));
    expect(await run("signature")).toMatchObject({ code: 0, stdout: list });
    const cleartext = await openpgp.createCleartextMessage({ text: list.toString() });
    const inside = Buffer.from(await openpgp.sign({ message: cleartext, signingKeys: privateKey }));
    publish(`lists-${name}`, name, Buffer.concat([Buffer.from("evil\n"), inside]));
    expect(await run("signature")).toMatchObject({ code: 1, log: expect.stringContaining("its own signature") });
    publish(`lists-${name}`, name, Buffer.concat([list, Buffer.from(`${"1".repeat(64)}  evil.raw\n`)]));
    expect(await run("signature")).toMatchObject({ code: 1, log: expect.stringContaining("DOWNLOAD INVALID") });
  },
);

test.skipIf(!isRoot).each([
  ["raw", "big.raw", DISK],
  ["raw", "big.raw.gz", gzipSync(DISK)],
  ["tar", "tree.tar.gz", PACKED],
] as const)(
  `after a worker for %s was killed when it had received all of %s, that is not downloaded again${needsRoot}`,
  async (kind, file, body) => {
    const root = scratch.root();
    let isListed = false;
    const patient = new RawServer(({ path, from }) => {
      const list = `${sha256(body)}  ${file}\n`;
      if (path === "SHA256SUMS" && isListed)
        return { head: ["200 OK", `Content-Length: ${list.length}`], body: Buffer.from(list) };
      if (path === "SHA256SUMS") {
        return { head: ["200 OK", "Content-Length: 64"], after: "wait" };
      }
      if (path !== file) return null;
      const range = from > 0 ? [`Content-Range: bytes ${from}-${body.length - 1}/${body.length}`] : [];
      const head = [
        from > 0 ? "206 Partial" : "200 OK",
        `Content-Length: ${body.length - from}`,
        'ETag: "s"',
        "Last-Modified: Sat, 03 Feb 2001 04:05:06 GMT",
        ...range,
      ];
      return { head, body: body.subarray(from) };
    });
    const args = [kind, `--image-root=${root}`, "--verify=checksum", "--keep-download=no", patient.url(file), "image"];
    const child = startWorker("systemd-pull", args);
    await waitFor(() => {
      expect(spooledBytes(root)).toBe(body.length);
      expect(patient.requests.some(({ path }) => path === "SHA256SUMS")).toBe(true);
    }, "all of it");
    child.kill("SIGKILL");
    await child.exited;
    isListed = true;
    expect((await runWorker("systemd-pull", args)).code).toBe(0);
    expect(patient.requests.filter(({ path }) => path === file).map(({ from }) => from)).toEqual([0, body.length - 1]);
    expect(entries(root)).toEqual([kind === "tar" ? "image" : "image.raw"]);
  },
);

test.skipIf(!isRoot).each([
  ["checksum", {}, "Failed to retrieve SHA256 checksum, cannot verify."],
  ["signature", { "/SHA256SUMS": "no list" }, "Failed to retrieve signature file, cannot verify."],
  ["signature", { "/SHA256SUMS": "no list", "/SHA256SUMS.gpg": "no signature" }, "No keyring at '/nonexistent'."],
] as const)(
  `I79, I80: with --verify=%s and %j a download that cannot be verified fails before its end${needsRoot}`,
  async (mode, files, says) => {
    const root = scratch.root();
    // Only its first half is ever sent.
    const stalling = new RawServer(({ path }) => {
      const side = (files as Record<string, string>)[`/${path}`];
      if (side !== undefined) return { head: ["200 OK", `Content-Length: ${side.length}`], body: Buffer.from(side) };
      const head = ["200 OK", `Content-Length: ${PACKED.length}`, 'ETag: "s"'];
      return path === "s.tar.gz" ? { head, body: PACKED.subarray(0, PACKED.length >> 1), after: "wait" } : null;
    });
    const args = ["tar", `--image-root=${root}`, `--verify=${mode}`, stalling.url("s.tar.gz")];
    const { code, log } = await runWorker("systemd-pull", args, { SYSTEMD_OPENPGP_KEYRING: "/nonexistent" });
    expect([code, log]).toEqual([1, expect.stringContaining(says)]);
    expect(entries(root)).toEqual([]);
  },
);

rootTest(
  "bytes that arrived before a worker is interrupted are kept, also those that it had not yet read",
  async () => {
    const root = scratch.root();
    const { promise: asked, resolve: hear } = Promise.withResolvers<(bytes: Buffer) => number>();
    using server = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        data(socket, request) {
          if (!request.toString().startsWith("GET /big.raw ")) return void socket.end("HTTP/1.1 404 None\r\n\r\n");
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${DISK.length}\r\nETag: "s"\r\n\r\n`);
          hear((bytes) => socket.write(bytes));
        },
      },
    });
    const url = `http://127.0.0.1:${server.port}/big.raw`;
    const child = startWorker("systemd-pull", ["raw", `--image-root=${root}`, "--verify=no", url]);
    const send = await asked;
    let sent = send(DISK.subarray(0, 50_000));
    const arrived = () => {
      const part = entries(root).find((name) => name.endsWith(".part"));
      return part === undefined ? 0 : lstatSync(join(root, part)).size;
    };
    await waitFor(() => expect(arrived()).toBe(sent), "the first bytes");
    child.kill("SIGSTOP");
    sent += send(DISK.subarray(sent, 290_000));
    child.kill("SIGINT");
    child.kill("SIGCONT");
    expect(await child.exited).toBe(4);
    expect(arrived()).toBe(sent);
  },
  LONG,
);

const LIES: readonly { name: string; head: string[]; body: Buffer; says: string }[] = [
  {
    name: "I60: a length above the limit",
    head: ["200 OK", "Content-Length: 99999999999999"],
    body: Buffer.alloc(10),
    says: "Content too large.",
  },
  {
    name: "a range that was not requested",
    head: ["206 Partial Content", "Content-Range: bytes 5-9/10", "Content-Length: 5"],
    body: Buffer.alloc(5),
    says: "that was not requested",
  },
  {
    name: "401",
    head: ["401 Unauthorized", "Content-Length: 0"],
    body: Buffer.alloc(0),
    says: "Access to image requires authentication.",
  },
  {
    name: "304 without a condition in the request",
    head: ["304 Not Modified"],
    body: Buffer.alloc(0),
    says: "but not which version",
  },
];

for (const { name, head, body, says } of LIES) {
  rootTest(
    `a server that sends ${name} is refused`,
    async () => {
      const root = scratch.root();
      const lying = new RawServer(({ path }) => (path === "x.tar" ? { head, body } : null));
      const { code, log } = await pull("tar", root, lying.url("x.tar"), "--verify=no");
      expect([code, log]).toEqual([1, expect.stringContaining(says)]);
      expect(entries(root)).toEqual([]);
    },
    LONG,
  );
}

rootTest("I60: a side file of more than a mebibyte is refused", async () => {
  const root = scratch.root();
  const url = publish("side", "s.tar", TREE);
  publish("side", "s.nspawn", Buffer.alloc(2 << 20));
  const { code, log } = await pull("tar", root, url, "--verify=no");
  expect([code, log]).toEqual([0, expect.stringContaining("File overly large, refusing.")]);
  expect(entries(root).filter((name) => name.endsWith(".nspawn"))).toEqual([]);
});

rootTest(
  "a side file that a server refuses is left out, as with the original: many answer 403 for a missing file",
  async () => {
    const root = scratch.root();
    const url = publish("refused", "r.raw", DISK);
    server.pages["refused/SHA256SUMS"] = { body: sums("refused", "r.raw") };
    for (const [suffix, status] of [
      ["nspawn", 403],
      ["roothash.p7s", 401],
      ["verity", 400],
    ] as const)
      server.pages[`refused/r.${suffix}`] = { status };
    const { code, log } = await pull("raw", root, url, "--verify=checksum", "r");
    expect([code, log]).toEqual([0, expect.stringContaining("r.nspawn failed with code 403.")]);
    for (const title of ["Settings", "Root hash signature", "Verity integrity"])
      expect(log).toContain(`${title} file could not be retrieved, proceeding without.`);
    expect(readFileSync(join(root, "r.raw")).equals(DISK)).toBe(true);
    expect(entries(root).filter((name) => /nspawn|p7s|verity/.test(name))).toEqual([]);
  },
);

rootTest("a list of certificate authorities that cannot be read is reported as that, and not tried again", async () => {
  const words = ["raw", `--image-root=${scratch.root()}`, "--verify=no", "https://127.0.0.1:9/a.raw", "a"];
  const { code, log } = await runWorker("systemd-pull", words, { SSL_CERT_FILE: "/nonexistent/list.pem" });
  expect([code, log]).toEqual([1, expect.stringContaining("/nonexistent/list.pem")]);
  expect(log).not.toMatch(/trying again|Connection to/);
});

rootTest("I65, I66, I68: disk images that end too early or are followed by garbage are refused", async () => {
  const root = scratch.root();
  const packed = gzipSync(DISK);
  const urls = [
    publish("cut", "a.raw.gz", packed.subarray(0, packed.length - 100)),
    publish("cut", "b.raw.gz", Buffer.concat([packed, Buffer.from("garbage")])),
  ];
  for (const url of urls)
    expect((await pull("raw", root, url, "--verify=no")).log).toContain(
      "Compressed data (gzip) is damaged or truncated",
    );
  expect(entries(root)).toEqual([]);
});

rootTest(
  "I69: file:// URLs with side files can be pulled many times",
  async () => {
    const root = scratch.root();
    const folder = join(scratch.path, "files");
    mkdirSync(folder);
    writeFileSync(join(folder, "f.tar.gz"), PACKED);
    writeFileSync(join(folder, "f.nspawn"), "[Exec]\n");
    writeFileSync(join(folder, "SHA256SUMS"), `${sha256(PACKED)}  f.tar.gz\n${sha256("[Exec]\n")}  f.nspawn\n`);
    for (let i = 0; i < 20; i++) {
      const { code } = await pull(
        "tar",
        root,
        `file://${folder}/f.tar.gz`,
        "--verify=checksum",
        "--force",
        `f${i % 3}`,
      );
      expect(code).toBe(0);
    }
    expect(readFileSync(join(root, "f1.nspawn"), "utf8")).toBe("[Exec]\n");
  },
  GUARD_MS,
);

rootTest("I111: existing settings stay, unless --force is given", async () => {
  const root = scratch.root();
  const url = publish("set", "s.tar", TREE);
  publish("set", "s.nspawn", Buffer.from("new"));
  mkdirSync(root);
  writeFileSync(join(root, "s.nspawn"), "old");
  expect((await pull("tar", root, url, "--verify=no", "s")).code).toBe(0);
  expect(readFileSync(join(root, "s.nspawn"), "utf8")).toBe("old");
  expect((await pull("tar", root, url, "--verify=no", "--force", "s")).code).toBe(0);
  expect(readFileSync(join(root, "s.nspawn"), "utf8")).toBe("new");
});

rootTest("I114, I115: an image can be written in place, and to standard output", async () => {
  const root = scratch.root();
  const url = publish("direct", "d.raw.gz", gzipSync(DISK));
  const target = join(scratch.path, "target");
  writeFileSync(target, Buffer.alloc(DISK.length + 4096, 7));
  const { code } = await pull("raw", root, url, "--verify=no", "--direct", "--offset=4096", target);
  expect(code).toBe(0);
  expect(readFileSync(target).subarray(4096).equals(DISK)).toBe(true);
  expect(readFileSync(target)[0]).toBe(7);
  const { stdout } = await pull("raw", root, url, "--verify=no", "--direct", "-");
  expect(stdout.equals(DISK)).toBe(true);
  const tooSmall = await pull("raw", root, url, "--verify=no", "--direct", "--size-max=1000", target);
  expect(tooSmall.log).toContain("File overly large, refusing.");
  expect((await pull("raw", root, url, "--offset=1", "x")).log).toContain("only supported in direct mode");
});

rootTest("I114: a tree is written in place, to an existing directory or a new one", async () => {
  const url = publish("direct", "d.tar.gz", PACKED);
  for (const worker of ["pull", "import"] as const) {
    const target = join(scratch.path, `${worker}-tree`);
    const packed = join(scratch.path, "d.tar.gz");
    writeFileSync(packed, PACKED);
    const go = (...options: string[]) =>
      worker === "pull"
        ? pull("tar", scratch.root(), url, `--verify=${sha256(PACKED)}`, "--direct", ...options, target)
        : runWorker("systemd-import", ["tar", "--direct", ...options, packed, target]);
    expect((await go("--btrfs-subvol=no", "--sync=yes")).code).toBe(0);
    expect(readFileSync(join(target, "etc/motd"), "utf8")).toBe("hello");
    writeFileSync(join(target, "other"), "stays");
    expect((await go()).code).toBe(0);
    expect(existsSync(join(target, "other"))).toBe(true);
    expect((await go("--force")).code).toBe(0);
    expect(existsSync(join(target, "other"))).toBe(false);
  }
});

rootTest("the second of two pulls with the same name fails at once", async () => {
  const root = scratch.root();
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const { promise: open, resolve: goOn } = Promise.withResolvers<void>();
  server.pages["slow.tar"] = {
    answer: async () => {
      resolve();
      await open;
      return new Response(new Uint8Array(TREE));
    },
  };
  const first = pull("tar", root, server.url("slow.tar"), "--verify=no", "same");
  await asked;
  const url = publish("fast", "f.tar", TREE);
  const second = await pull("tar", root, url, "--verify=no", "same");
  expect([second.code, second.log]).toEqual([1, expect.stringContaining("is in use, or another transfer writes it")]);
  goOn();
  expect((await first).code).toBe(0);
});
