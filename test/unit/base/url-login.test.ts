import { expect, test } from "bun:test";
import { joinLogin, splitLogin } from "../../../src/base/vocabulary/transfer.ts";

test.each([
  ["http://host/a@b", "http://host/a@b", ""],
  ["https://u:p@host/a", "https://host/a", "u:p"],
  ["https://u:p@@host:8/a?x=@y#@", "https://host:8/a?x=@y#@", "u:p@"],
  ["https://u$&:p$1@host", "https://host", "u$&:p$1"],
  ["http://u:p\\@host/a", "http://u:p\\@host/a", ""],
  ["https://host?u@x", "https://host?u@x", ""],
  ["file:///a@b", "file:///a@b", ""],
  ["registry/a@sha256:0", "registry/a@sha256:0", ""],
])("name and password are split from the URL %s, and can be joined again", (whole, url, login) => {
  expect(splitLogin(whole)).toEqual({ url, login });
  expect(joinLogin(url, login)).toBe(whole);
});
