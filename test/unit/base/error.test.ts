import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { deflateSync, inflateSync } from "node:zlib";
import { ErrnoError, errnoNameOf, errnoOfBusError, hostFaultOf, MachinedError } from "../../../src/base/error.ts";
import { BusError } from "../../../src/ipc/bus/error.ts";
import { SyscallError } from "../../../src/kernel/syscall/sys.ts";

function thrown(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error("it succeeded");
}

test("errors of the kernel layer, node:fs, Bun and the bus all have an errno", () => {
  expect(errnoNameOf(new SyscallError("open", "ENOSPC"))).toBe("ENOSPC");
  expect(errnoNameOf(new ErrnoError("EXDEV", "x"))).toBe("EXDEV");
  expect(errnoNameOf(new BusError("System.Error.ENXIO", "x"))).toBe("ENXIO");
  expect(errnoNameOf(thrown(() => writeFileSync("/proc/version/x", "")))).toBe("ENOTDIR");
  expect(errnoNameOf(thrown(() => Bun.spawn(["/nonexistent/program"])))).toBe("ENOENT");
  // Bun sets only the number when it does not know the name.
  expect(errnoNameOf(Object.assign(new Error("x"), { errno: -122, syscall: "write" }))).toBe("EDQUOT");
});

test("errnoNameOf() finds no errno in errors that carry none", () => {
  const damaged = deflateSync("hello").fill(0xff, 2);
  for (const error of [
    new Error("x"),
    new MachinedError("NoSuchMachine", "x"),
    thrown(() => inflateSync(damaged)),
    thrown(() => (undefined as unknown as { a: string }).a),
    Object.assign(new Error("x"), { code: "ERR_INVALID_ARG_TYPE" }),
    null,
    "ENOENT",
  ]) {
    expect(errnoNameOf(error)).toBeNull();
  }
});

test("errors that the host caused are distinguished from bugs of this program", () => {
  for (const name of ["ENOSPC", "EMFILE", "EACCES", "ENOTDIR"]) expect(hostFaultOf({ code: name })).toBe(name);
  for (const error of [{ code: "EBADF" }, { code: "EINVAL" }, new TypeError("x")])
    expect(hostFaultOf(error)).toBeNull();
});

test("errors of other services on the bus have the errno of sd-bus", () => {
  const CASES: Readonly<Record<string, string>> = {
    "DBus.Error.UnknownMethod": "EBADR",
    "DBus.Error.UnknownInterface": "EBADR",
    "DBus.Error.UnknownObject": "EBADR",
    "DBus.Error.Failed": "EACCES",
    "DBus.Error.AuthFailed": "EACCES",
    "DBus.Error.Disconnected": "ECONNRESET",
    "DBus.Error.FileNotFound": "ENOENT",
    "DBus.Error.NoReply": "ETIMEDOUT",
    "DBus.Error.NotSupported": "EOPNOTSUPP",
    "DBus.Error.Timeout": "ETIMEDOUT",
    "DBus.Error.InvalidArgs": "EINVAL",
    "DBus.Error.IOError": "EIO",
    "DBus.Error.LimitsExceeded": "ENOBUFS",
    "machine1.NoSuchMachine": "ENXIO",
    "systemd1.JobFailed": "EREMOTEIO",
    "systemd1.LoadFailed": "EIO",
    "systemd1.NoSuchUnit": "ENOENT",
    "systemd1.UnitExists": "EEXIST",
    "systemd1.UnitMasked": "ERFKILL",
  };
  const names = Object.keys(CASES);
  expect(Object.fromEntries(names.map((name) => [name, errnoOfBusError(`org.freedesktop.${name}`)]))).toEqual(CASES);
});
