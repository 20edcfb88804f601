// The units of images that are removed: systemd is asked only about units that can exist.
import { expect, test } from "bun:test";
import { ErrnoError } from "../../../../src/base/error.ts";
import { Enablement } from "../../../../src/machined/action/enablement.ts";

test("systemd is not asked about an image whose name no unit can have, which it refuses", async () => {
  const asked: string[] = [];
  const warnings: string[] = [];
  const files = {
    isEnabled: async (unit: string) => {
      asked.push(unit);
      if (unit.includes(" ")) throw new ErrnoError("EINVAL", "Invalid argument");
      return false;
    },
    enable: async () => {},
    disable: async () => {},
    reload: async () => {},
  };
  const log = { info: () => {}, debug: () => {}, warning: (text: string) => warnings.push(text) };
  const enablement = new Enablement(files, log as never);
  await enablement.dropped("two words");
  await enablement.dropped("word");
  expect(asked).toEqual(["systemd-nspawn@word.service", "systemd-vmspawn@word.service"]);
  expect(warnings).toEqual([]);
});
