// What is checked before polkit is asked, in which order, and which permission is asked for.
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Access } from "../../../src/api/access.ts";
import { Manager } from "../../../src/api/machine1.ts";
import { IoSystemdMachineImage } from "../../../src/api/varlink/io-systemd-machine-image.ts";
import type { Call } from "../../../src/daemon/call.ts";
import { type Grant, permissionsOf } from "../../../src/daemon/permission/access.ts";
import type { Daemon } from "../../../src/machined/action/daemon.ts";
import {
  cleanPool,
  clone,
  markReadOnly,
  remove,
  rename,
  setLimit,
  setPoolLimit,
} from "../../../src/machined/images/actions.ts";
import { Images } from "../../../src/machined/images/images.ts";
import { layoutBelow } from "../../../src/registry/image/layout.ts";
import { Operations } from "../../../src/registry/operation.ts";

const root = mkdtempSync(join(tmpdir(), "image-actions-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
mkdirSync(join(root, "var/lib/machines/one"), { recursive: true });

const LOG = { info: () => {}, warning: () => {}, debug: () => {} };

class FullOperations extends Operations {
  override requireRoom(message = "Too many ongoing operations."): void {
    throw new Error(message);
  }
}

const images = new Images(layoutBelow(root), new Operations(LOG), LOG);
const fullImages = new Images(layoutBelow(root), new FullOperations(LOG), LOG);
const daemon = {} as Daemon;
const onBus = { transport: "bus" } as Call;
const one = { images, name: "one" };

test("M131: when too many operations run, another one is refused before its arguments are checked", () => {
  const subject = { images: fullImages, name: "a/b" };
  const text = "Too many ongoing operations.";
  expect(() => remove.prepare(daemon, subject, onBus)).toThrow(text);
  expect(() => clone.prepare(daemon, { ...subject, newName: "/", readOnly: false }, onBus)).toThrow(text);
  expect(() => cleanPool.prepare(daemon, { images: fullImages, mode: "bogus" }, onBus)).toThrow(text);
});

test("M161 M159 M152: invalid arguments are refused before polkit is asked", () => {
  expect(() => cleanPool.prepare(daemon, { images, mode: "bogus" }, onBus)).toThrow("Unknown mode 'bogus'.");
  expect(() => setPoolLimit.prepare(daemon, { images, bytes: 1n << 63n }, onBus)).toThrow("New limit out of range");
  expect(() => rename.prepare(daemon, { ...one, newName: "a/b" }, onBus)).toThrow("Image name 'a/b' is invalid.");
  expect(() => remove.prepare(daemon, { images, name: "nosuch" }, onBus)).toThrow("No image 'nosuch' known");
});

test("the permissions are those of systemd, with their details in order", () => {
  const { RemoveImage, RenameImage, CloneImage, MarkImageReadOnly, SetImageLimit } = Manager.methods;
  const { Update } = IoSystemdMachineImage.methods;
  const asked = (row: { readonly access: Access }, { grant }: { readonly grant: Grant }): unknown[] =>
    permissionsOf(row.access, grant, 0);
  const manage = (details: object) => [{ action: "org.freedesktop.machine1.manage-images", details }];
  const renamed = rename.prepare(daemon, { ...one, newName: "x" }, onBus);
  const cloned = clone.prepare(daemon, { ...one, newName: "x", readOnly: true }, onBus);
  const marked = markReadOnly.prepare(daemon, { ...one, readOnly: true }, onBus);
  const limited = setLimit.prepare(daemon, { ...one, bytes: 1n }, onBus);
  expect(asked(RemoveImage, remove.prepare(daemon, one, onBus))).toEqual(manage({ image: "one", verb: "remove" }));
  expect(asked(RenameImage, renamed)).toEqual(manage({ image: "one", verb: "rename", new_name: "x" }));
  expect(asked(CloneImage, cloned)).toEqual(manage({ image: "one", verb: "clone", new_name: "x" }));
  expect(asked(MarkImageReadOnly, marked)).toEqual(manage({ image: "one", verb: "mark_read_only", read_only: "1" }));
  expect(asked(SetImageLimit, limited)).toEqual(manage({ machine: "one", verb: "set_limit" }));
  expect(asked(Update, limited)).toEqual(manage({ image: "one", verb: "update" }));
});

test("the permission for the pool is manage-machines over D-Bus and manage-images over Varlink", () => {
  const plans = {
    SetPoolLimit: setPoolLimit.prepare(daemon, { images, bytes: 1n }, onBus),
    CleanPool: cleanPool.prepare(daemon, { images, mode: "all" }, onBus),
  };
  const permissions: unknown[] = [Manager, IoSystemdMachineImage].flatMap(({ methods }) => [
    ...permissionsOf(methods.SetPoolLimit.access, plans.SetPoolLimit.grant, 0),
    ...permissionsOf(methods.CleanPool.access, plans.CleanPool.grant, 0),
  ]);
  const [machines, pool] = ["manage-machines", "manage-images"].map((name) => `org.freedesktop.machine1.${name}`);
  expect(permissions).toEqual([
    { action: machines, details: { verb: "set_pool_limit" } },
    { action: machines, details: { verb: "clean_pool", mode: "all" } },
    { action: pool, details: { verb: "set_pool_limit" } },
    { action: pool, details: { verb: "clean_pool", mode: "all" } },
  ]);
});

test("calls for the metadata of an image that arrive together share a reading, which begins after them", async () => {
  const image = images.get("one");
  const etc = join(image.path, "etc");
  const first = images.metadata(image);
  mkdirSync(etc, { recursive: true });
  writeFileSync(join(etc, "hostname"), "early\n");
  const second = images.metadata(image);
  expect((await first).hostname).toBe("early");
  expect(await second).toBe(await first);
  writeFileSync(join(etc, "hostname"), "late\n");
  expect((await images.metadata(image)).hostname).toBe("late");
});
