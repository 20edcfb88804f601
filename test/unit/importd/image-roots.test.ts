// Varlink's imageRoot must not turn the permission to pull into one to write a file or an archive into any directory:
// polkit is asked with the directory as a detail, and other directories are for root only.
import { describe, expect, test } from "bun:test";
import { IoSystemdImport } from "../../../src/api/varlink/io-systemd-import.ts";
import type { Call } from "../../../src/daemon/call.ts";
import type { Permission } from "../../../src/daemon/permission/polkit.ts";
import { start, type TransferRequest } from "../../../src/importd/actions.ts";
import type { ImportDaemon } from "../../../src/importd/daemon.ts";
import { pathsOf } from "../../../src/importd/paths.ts";

const STARTED = "would start";

/** A daemon whose polkit permits everything, and that does not start the worker. */
function daemonOf(scope: "system" | "user", asked: unknown[]): ImportDaemon {
  const authority = {
    ask: async (_call: unknown, _caller: unknown, { details }: Permission) => {
      asked.push(details);
      return { authorized: true, challenge: false, details: new Map() };
    },
  };
  const paths = pathsOf(scope, { XDG_RUNTIME_DIR: "/run/user/1", HOME: "/home/u" });
  const transfers = {
    check: () => {
      throw new Error(STARTED);
    },
  };
  return { scope, paths, transfers, authority: () => authority, busy: () => () => {} } as unknown as ImportDaemon;
}

/** The details that the Varlink binding passes. */
const SHOWN = { remote: "http://a/b", local: "x", class: "machine", type: "raw", verify: "no" };

function callOf(uid: number): Call {
  const caller = {
    uid,
    pid: 1,
    subject: { kind: "bus-name" as const, name: ":1.1" },
    openProcess: () => null as never,
  };
  const { access } = IoSystemdImport.methods.Pull;
  return { transport: "varlink", access, interactive: false, caller: async () => caller, onGone: () => () => {} };
}

async function attempt(uid: number, more: Partial<TransferRequest>, scope: "system" | "user" = "system") {
  const asked: unknown[] = [];
  const request = {
    type: "pull-raw",
    class: "machine",
    local: "x",
    remote: "http://a/b",
    verify: "no",
    ...more,
  } as const;
  const result = await start(daemonOf(scope, asked), callOf(uid), request, SHOWN).catch(
    (error) => error.code ?? error.message,
  );
  return { result, asked };
}

describe("imageRoot", () => {
  test.each([
    "/etc/systemd/system",
    "/home/user",
    "/var/lib/machines/../x",
    "/var/lib/machinesx",
    "/",
    "/var/lib/portables",
  ])("%s is refused to callers other than root, whatever polkit would say", async (imageRoot) => {
    expect(await attempt(1000, { imageRoot })).toEqual({ result: "AccessDenied", asked: [] });
  });

  test.each(["/var/lib/machines", "/var/lib/machines/", "//var//lib/machines", "/run/machines", "/etc/machines"])(
    "%s is a directory of the class: it is permitted, and polkit gets it as a detail",
    async (imageRoot) => {
      expect(await attempt(1000, { imageRoot })).toEqual({ result: STARTED, asked: [{ ...SHOWN, imageRoot }] });
    },
  );

  test("root may name any directory, except for the download of a file of this host", async () => {
    expect((await attempt(0, { imageRoot: "/srv/pool" })).result).toBe(STARTED);
    for (const remote of ["file:///etc/shadow", "file:/etc/shadow"]) {
      expect((await attempt(0, { imageRoot: "/home/user", remote })).result).toBe("AccessDenied");
      expect((await attempt(0, { imageRoot: "/var/lib/machines", remote })).result).toBe(STARTED);
      expect((await attempt(0, { remote })).result).toBe(STARTED);
    }
  });

  test("a user's own daemon accepts any directory, and files of this host", async () => {
    expect((await attempt(1, { imageRoot: "/home/u/x", remote: "file:///home/u/y" }, "user")).result).toBe(STARTED);
  });
});
