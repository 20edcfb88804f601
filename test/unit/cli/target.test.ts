import { describe, expect, test } from "bun:test";
import { defaultSettings } from "../../../src/cli/settings.ts";
import { managerDirectory, meansLocalSockets, parseContainer, parseRemote } from "../../../src/cli/target.ts";

describe("-H (C124)", () => {
  const good: [text: string, target: object][] = [
    ["host", { host: "host" }],
    ["joe@host", { host: "joe@host" }],
    ["joe@host:2222/cont", { host: "joe@host", port: "2222", machine: "cont" }],
    ["host/cont", { host: "host", machine: "cont" }],
    ["host:cont", { host: "host", machine: "cont" }],
    ["host:22", { host: "host", port: "22" }],
    ["[::1]", { host: "::1" }],
    ["joe@[fe80::1%eth0]:22/c", { host: "joe@fe80::1%eth0", port: "22", machine: "c" }],
  ];
  for (const [text, target] of good) {
    test(text, () => expect(parseRemote(text)).toEqual({ kind: "ssh", ...target } as never));
  }

  for (const text of ["foo@@bar", "x@", "@x", "", "host/", "host:", "host:a/b", "host/a b", "[::1", "a:b:c"]) {
    test(`'${text}' is refused`, () =>
      expect(() => parseRemote(text)).toThrow(expect.objectContaining({ errnoName: "EINVAL" })));
  }
});

describe("-M", () => {
  test("names a container, with or without a user", () => {
    expect(parseContainer("alpha", "system", "root")).toEqual({ kind: "machine", name: "alpha" });
    expect(parseContainer("joe@alpha", "system", "root")).toEqual({ kind: "machine", name: "alpha", user: "joe" });
    expect(parseContainer("@alpha", "system", "root")).toEqual({ kind: "machine", name: "alpha", user: "root" });
  });

  test(".host as oneself is the plain bus of the scope (C126)", () => {
    expect(parseContainer(".host", "system", "root")).toEqual({ kind: "system" });
    expect(parseContainer("root@.host", "system", "root")).toEqual({ kind: "system" });
    expect(parseContainer("root@", "user", "root")).toEqual({ kind: "user" });
    expect(parseContainer("joe@.host", "system", "root")).toEqual({ kind: "machine", name: ".host", user: "joe" });
  });

  for (const text of ["", "a b", "a/b", "-x", ".hidden"]) {
    test(`'${text}' is refused`, () => {
      expect(() => parseContainer(text, "system", "root")).toThrow(expect.objectContaining({ errnoName: "EINVAL" }));
    });
  }
});

test("sockets are below the runtime directory of the scope, which the environment may move", () => {
  expect(managerDirectory("system", {})).toBe("/run/systemd/machine");
  expect(managerDirectory("system", { MACHINED_RUNTIME_DIRECTORY: "/tmp/x" })).toBe("/tmp/x/machine");
  expect(managerDirectory("user", { XDG_RUNTIME_DIR: "/run/user/7" })).toBe("/run/user/7/systemd/machine");
  expect(managerDirectory("user", {})).toBeNull();
});

test("a named bus means the manager there, unless the directory is named too", () => {
  const bus = { DBUS_SYSTEM_BUS_ADDRESS: "unix:path=/x" };
  expect(meansLocalSockets(defaultSettings(), {})).toBe(true);
  expect(meansLocalSockets(defaultSettings(), bus)).toBe(false);
  expect(meansLocalSockets(defaultSettings(), { ...bus, MACHINED_RUNTIME_DIRECTORY: "/tmp/x" })).toBe(true);
  expect(meansLocalSockets({ ...defaultSettings(), transport: { kind: "machine", name: "a" } }, {})).toBe(false);
});
