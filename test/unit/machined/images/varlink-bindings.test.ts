import { expect, test } from "bun:test";
import { IoSystemdMachineImage } from "../../../../src/api/varlink/io-systemd-machine-image.ts";
import { Reply } from "../../../../src/ipc/varlink/binding.ts";
import type { Images } from "../../../../src/machined/images/images.ts";
import { imageVarlink } from "../../../../src/machined/images/varlink-bindings.ts";
import type { Image } from "../../../../src/registry/image/image.ts";

function tree(name: string): Image {
  const space = { usage: 0n, usageExclusive: 0n, limit: 0n, limitExclusive: 0n };
  return { name, path: `/${name}`, type: "directory", facts: { createdUsec: 0n, modifiedUsec: 0n, space } } as Image;
}

test("other callers have their turn while the metadata of all images is read", async () => {
  const turns: string[] = [];
  const images = {
    list: () => ["a", "b", "c"].map(tree),
    metadata: async ({ name }: Image) => {
      setImmediate(() => turns.push(name));
      // Longer than a slice.
      for (const startMs = performance.now(); performance.now() - startMs < 5; );
      return { hostname: name, machineId: null, machineInfo: new Map(), osRelease: new Map() };
    },
  } as unknown as Images;
  const { handlers } = imageVarlink({ hostVersion: 262, authority: () => null } as never, images);
  const { access } = IoSystemdMachineImage.methods.List;
  const call = { access, more: true, interactive: false, caller: async () => ({ uid: 0 }), onGone: () => () => {} };
  const reply = (await handlers["List"]?.(call as never, { acquireMetadata: "yes" } as never)) as {
    [Reply.many]: { hostname?: string }[];
  };
  expect(reply[Reply.many].map(({ hostname }) => hostname)).toEqual(["a", "b", "c"]);
  expect(turns).toEqual(["a", "b", "c"]);
});
