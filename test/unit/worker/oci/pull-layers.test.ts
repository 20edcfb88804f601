// Layers that another transfer makes while a pull waits for their download.
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { lockImage } from "../../../../src/registry/image/lock.ts";
import { HeldLayers } from "../../../../src/worker/oci/held-layers.ts";
import type { OciSource } from "../../../../src/worker/oci/source.ts";
import { defaultOptions } from "../../../../src/worker/program/options.ts";
import { Progress } from "../../../../src/worker/program/progress.ts";
import { fetchLayers, layerName } from "../../../../src/worker/transfer/pull-layers.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

test("a layer that another transfer has made is locked until the image is complete, and fetched where it is gone again", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "layers-"));
  try {
    const [pool, locks] = [join(scratch, "pool"), join(scratch, "run/locks")];
    mkdirSync(pool);
    const path = join(pool, layerName(DIGEST));
    using root = openPath(pool, "directory");
    let asked = 0;
    const source: OciSource = {
      name: "test",
      repository: null,
      root: () => Promise.reject(new Error("not asked")),
      document: () => Promise.reject(new Error("not asked")),
      // As after a wait for another transfer: the first time, its layer was removed again at once.
      blob: async () => {
        mkdirSync(path);
        if (++asked === 1) rmdirSync(path);
      },
    };
    const layer = { mediaType: "", digest: DIGEST, size: 1, urls: [], data: null };
    {
      using held = new HeldLayers(root, locks);
      await fetchLayers(source, root, [layer], {
        options: { ...defaultOptions(), locks },
        contents: null,
        progress: new Progress(),
        held,
      });
      expect(asked).toBe(2);
      expect(() => lockImage(locks, path, "exclusive")).toThrow("resource busy");
    }
    lockImage(locks, path, "exclusive")[Symbol.dispose]();
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
