// What `run` reads from the files of an image: one tree, or a stack of layers.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ImageTree } from "../../../../src/cli/run/image-tree.ts";
import { setAttribute } from "../../../../src/kernel/file/attributes.ts";
import { openPath } from "../../../../src/kernel/file/fd.ts";

const isRoot = process.geteuid?.() === 0;
let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "image-tree-"));
});
afterAll(() => rmSync(scratch, { recursive: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(scratch, path)), { recursive: true });
  writeFileSync(join(scratch, path), text);
}

test("files that a machine wrote are preferred to those of the layers, and upper layers to lower ones", () => {
  put("layers/0/etc/passwd", "web:x:10:10::/low:/bin/sh\n");
  put("layers/0/sbin/init", "");
  put("layers/1/etc/passwd", "web:x:11:11::/upper:/bin/sh\n");
  mkdirSync(join(scratch, "web.mstack"));
  for (const number of [0, 1]) symlinkSync(`../layers/${number}`, join(scratch, `web.mstack/layer@${number}`));
  const place = { path: join(scratch, "web.mstack"), type: "mstack" } as const;
  {
    using tree = ImageTree.open(place);
    expect(tree?.accountOf("web")).toMatchObject({ uid: 11, home: "/upper" });
    expect([tree?.has("/sbin/init"), tree?.has("/added")]).toEqual([true, false]);
  }
  put("web.mstack/rw/data/etc/passwd", "web:x:12:12::/written:/bin/sh\nnew:x:13:13::/new:/bin/sh\n");
  put("web.mstack/rw/data/added", "");
  mkdirSync(join(scratch, "web.mstack/rw/work"));
  // The machine removed the file: overlayfs records that as a device 0:0.
  if (isRoot) Bun.spawnSync(["mknod", join(scratch, "web.mstack/rw/data/removed"), "c", "0", "0"]);
  put("layers/1/removed", "");
  using tree = ImageTree.open(place);
  if (isRoot) expect(tree?.has("/removed")).toBe(false);
  expect(tree?.accountOf("web")).toMatchObject({ uid: 12, home: "/written" });
  expect(tree?.accountOf("new")).toMatchObject({ uid: 13 });
  // The directory `work` of overlayfs and the names `work` and `data` are not part of the machine's tree.
  expect([tree?.has("/added"), tree?.has("/work"), tree?.has("/data")]).toEqual([true, false, false]);
});

describe.skipIf(!isRoot)(`a layer${isRoot ? "" : " (left out: needs root)"}`, () => {
  function stackOf(name: string, ...layers: Readonly<Record<string, string | { to: string } | "whiteout">>[]) {
    mkdirSync(join(scratch, `${name}.mstack`));
    for (const [number, files] of layers.entries()) {
      const top = `${name}/${number}`;
      mkdirSync(join(scratch, top), { recursive: true });
      symlinkSync(`../${top}`, join(scratch, `${name}.mstack/layer@${number}`));
      for (const [path, content] of Object.entries(files)) {
        const place = join(scratch, top, path);
        mkdirSync(dirname(place), { recursive: true });
        if (typeof content === "object") symlinkSync(content.to, place);
        else if (content === "whiteout") Bun.spawnSync(["mknod", place, "c", "0", "0"]);
        else writeFileSync(place, content);
      }
    }
    return { path: join(scratch, `${name}.mstack`), type: "mstack" } as const;
  }

  test("that removes a directory removes all that those below have in it", () => {
    const place = stackOf(
      "purged",
      { "usr/lib/systemd/systemd": "", "usr/bin/a": "" },
      { "usr/lib/systemd": "whiteout" },
    );
    using tree = ImageTree.open(place);
    expect([tree?.has("usr/lib/systemd/systemd"), tree?.has("/usr/bin/a")]).toEqual([false, true]);
  });

  test("is found through the links of another one, and links lead through all layers, not out of them", () => {
    const place = stackOf(
      "merged",
      { sbin: { to: "usr/sbin" }, "usr/sbin/a": "", "usr/sbin/b": "", out: { to: "../../../../../../etc/passwd" } },
      { "usr/sbin/init": "", "usr/sbin/a": "whiteout", abs: { to: "/sbin/../sbin/b" }, loop: { to: "loop" } },
    );
    using tree = ImageTree.open(place);
    const has = (path: string) => tree?.has(path);
    expect([has("sbin/init"), has("/sbin/a"), has("abs"), has("sbin")]).toEqual([true, false, true, true]);
    expect([has("out"), has("loop"), has("sbin/b/c")]).toEqual([false, false, false]);
  });

  test("replaces a directory by an opaque one", () => {
    const place = stackOf("opaque", { "etc/passwd": "web:x:10:10::/low:/bin/sh\n", "etc/a": "" }, { "etc/b": "" });
    using directory = openPath(join(scratch, "opaque/1/etc"), "directory");
    setAttribute(directory, "trusted.overlay.opaque", Buffer.from("y"));
    using tree = ImageTree.open(place);
    expect([tree?.has("/etc/a"), tree?.has("/etc/b"), tree?.has("/etc")]).toEqual([false, true, true]);
    expect(() => tree?.accountOf("web")).toThrow("The image has no user 'web'");
  });
});
