// The folders of one user.
import { expect, test } from "bun:test";
import { userLayout } from "../../../src/registry/image/layout.ts";

test("the settings of a user's machines are below $XDG_CONFIG_HOME, where that is an absolute path", () => {
  const { HOME: home, XDG_CONFIG_HOME: config } = process.env;
  try {
    process.env["HOME"] = "/home/me";
    for (const [value, directory] of [
      ["/my/settings", "/my/settings"],
      ["", "/home/me/.config"],
      ["settings", "/home/me/.config"],
    ] as const) {
      process.env["XDG_CONFIG_HOME"] = value;
      expect([value, ...userLayout("/run/user/7").settings]).toEqual([value, `${directory}/systemd/nspawn`]);
    }
  } finally {
    for (const [name, value] of [
      ["HOME", home],
      ["XDG_CONFIG_HOME", config],
    ] as const) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});
