// Addresses of buses, as the environment has them.
import { expect, test } from "bun:test";
import { busAddresses, unixAddressOf } from "../../../../src/ipc/bus/address.ts";

test("escapes in the address of a bus are the bytes of its path", () => {
  expect(unixAddressOf("unix:path=/run/b%c3%bcs%2Cof%20me,guid=00")).toBe("/run/b\u00fcs,of me");
  expect(unixAddressOf("unix:abstract=/tmp/%E2%82%AC")).toEqual({ abstract: "/tmp/\u20ac" });
  for (const wrong of ["unix:path=/run/%", "unix:path=/run/%4", "unix:path=/run/%zz"]) {
    expect(() => unixAddressOf(wrong)).toThrow("escape");
  }
});

test("the bus of a user is found in every runtime directory", () => {
  const { DBUS_SESSION_BUS_ADDRESS: address, XDG_RUNTIME_DIR: runtime } = process.env;
  delete process.env["DBUS_SESSION_BUS_ADDRESS"];
  try {
    for (const directory of ["/run/user/1000", "/tmp/a;b,c=d%41 \u00fc\u{1f600}*"]) {
      process.env["XDG_RUNTIME_DIR"] = directory;
      expect(busAddresses("user").map(unixAddressOf)).toEqual([`${directory}/bus`]);
    }
  } finally {
    if (address !== undefined) process.env["DBUS_SESSION_BUS_ADDRESS"] = address;
    if (runtime === undefined) delete process.env["XDG_RUNTIME_DIR"];
    else process.env["XDG_RUNTIME_DIR"] = runtime;
  }
});
