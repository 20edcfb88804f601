// The polkit questions that follow from a row of a table; where row and action contradict each other, nothing is
// permitted.
import { expect, test } from "bun:test";
import type { PolkitRule } from "../../../../src/api/access.ts";
import { permissionsOf } from "../../../../src/daemon/permission/access.ts";

const MANAGE = "org.freedesktop.machine1.manage-machines";
const RULE: PolkitRule = { action: MANAGE, subject: "machine", verb: "copy", details: ["src", "?dest"] };
const GRANT = { subject: "web", ownerUid: 1000, details: { src: "/a" } };

test("polkit's details are subject, verb and the row's details, in this order", () => {
  const [permission] = permissionsOf(RULE, { ...GRANT, details: { dest: "/b", src: "/a", more: "x" } }, 262);
  expect(Object.entries(permission?.details ?? {})).toEqual([
    ["machine", "web"],
    ["verb", "copy"],
    ["src", "/a"],
    ["dest", "/b"],
  ]);
});

test("the owner is exempt only where the row says so", () => {
  expect(permissionsOf(RULE, GRANT, 262)[0]).not.toHaveProperty("ownerUid");
  expect(permissionsOf({ ...RULE, owner: true }, GRANT, 262)[0]).toHaveProperty("ownerUid", 1000);
});

test("for the host, the row's host action is checked, where it has one", () => {
  const host = "org.freedesktop.machine1.host-shell";
  const rule: PolkitRule = { action: "org.freedesktop.machine1.shell", hostAction: host };
  expect(permissionsOf(rule, { isHost: true }, 262)).toEqual([{ action: host, details: {} }]);
  expect(permissionsOf(rule, {}, 262)).toEqual([{ action: "org.freedesktop.machine1.shell", details: {} }]);
});

test("it depends on the emulated release of systemd whether a permission is needed, and whether another one is enough", () => {
  expect(permissionsOf({ ...RULE, since: 261 }, GRANT, 260)).toEqual([]);
  expect(permissionsOf({ ...RULE, since: 261 }, GRANT, 261)).toHaveLength(1);
  const pull = "org.freedesktop.import1.pull";
  const actions = (rule: PolkitRule, version: number) =>
    permissionsOf(rule, GRANT, version).map(({ action }) => action);
  expect(actions({ ...RULE, instead: { action: pull, before: 257 } }, 256)).toEqual([pull, MANAGE]);
  expect(actions({ ...RULE, instead: { action: pull, before: 257 } }, 257)).toEqual([MANAGE]);
  expect(actions({ ...RULE, instead: { action: pull } }, 262)).toEqual([pull, MANAGE]);
});

test("an action may ask for no permission only where the row says that it depends on the arguments", () => {
  expect(permissionsOf("everyone", null, 262)).toEqual([]);
  expect(permissionsOf({ ...RULE, when: "metadata is wanted" }, null, 262)).toEqual([]);
  expect(() => permissionsOf(RULE, null, 262)).toThrow("that its action does not need");
});

test("an action that asks for a permission is refused where the row has no permission, another variant, or other details", () => {
  expect(() => permissionsOf("everyone", GRANT, 262)).toThrow("that the row of its method does not name");
  expect(() => permissionsOf({ variants: { tty: RULE } }, { ...GRANT, variant: "shell" }, 262)).toThrow("'shell'");
  expect(() => permissionsOf({ variants: { tty: RULE } }, null, 262)).toThrow("no permission for the variant");
  expect(() => permissionsOf(RULE, { subject: "web" }, 262)).toThrow("the detail 'src'");
});
