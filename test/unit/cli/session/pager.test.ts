import { describe, expect, test } from "bun:test";
import type { Environment } from "../../../../src/cli/format/terminal.ts";
import { ownerUid, pagerCandidates } from "../../../../src/cli/session/pager.ts";

function programs(env: Environment, isOwner = true): string[] {
  return pagerCandidates(env, { isOwner, utf8: true }).map(({ argv }) => argv.join(" "));
}

function variables(env: Environment, isOwner = true) {
  return pagerCandidates(env, { isOwner, utf8: true })[0]?.env;
}

describe("the pager", () => {
  test("is pager, less or more for the owner of the session", () =>
    expect(programs({})).toEqual(["pager", "less", "more"]));

  test("is only less if the user is not the session's owner, as with sudo", () =>
    expect(programs({}, false)).toEqual(["less"]));

  test("is not started when the environment names none, or cat (C122)", () => {
    expect([programs({ SYSTEMD_PAGER: "" }), programs({ PAGER: "cat" }), programs({ SYSTEMD_PAGER: " cat " })]).toEqual(
      [[], [], []],
    );
  });

  test("is taken from the environment only where $SYSTEMD_PAGERSECURE is set (C121)", () => {
    expect(programs({ SYSTEMD_PAGER: "most -s" })).toEqual(["pager", "less", "more"]);
    expect(programs({ SYSTEMD_PAGER: "most -s", SYSTEMD_PAGERSECURE: "0" })).toEqual([
      "most -s",
      "pager",
      "less",
      "more",
    ]);
    expect(programs({ PAGER: "most", SYSTEMD_PAGERSECURE: "1" })).toEqual(["most", "less"]);
    expect(programs({ SYSTEMD_PAGER: "a", PAGER: "b", SYSTEMD_PAGERSECURE: "nonsense" })).toEqual(["a", "less"]);
  });
});

describe("the pager's environment", () => {
  test("has systemd's default options for less, and the character set", () => {
    expect(variables({})).toEqual({ LESS: "FRSXMK", LESSCHARSET: "utf-8", LESSSECURE: undefined });
  });

  test("has the options of $SYSTEMD_LESS, and the secure mode of less", () => {
    const env = { SYSTEMD_LESS: "FR", SYSTEMD_LESSCHARSET: "latin1" };
    expect(variables(env, false)).toEqual({ LESS: "FR", LESSCHARSET: "latin1", LESSSECURE: "1" });
  });
});

test("the owner of a session is derived from its control group", () => {
  expect(ownerUid("0::/user.slice/user-1000.slice/session-3.scope\n")).toBe(1000);
  expect(ownerUid("0::/user.slice/user-0.slice\n")).toBe(0);
  expect([ownerUid("0::/system.slice/x.service\n"), ownerUid(null)]).toEqual([null, null]);
});
