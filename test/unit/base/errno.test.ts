import { expect, test } from "bun:test";
import { errnoName, errnoNumber, errnoText } from "../../../src/base/errno.ts";

test("every errno of Linux has a name and a text", () => {
  for (let errno = 1; errno <= 133; errno++) {
    if (errno === 41 || errno === 58) continue; // Linux does not use these two numbers
    expect(errnoNumber(errnoName(errno))).toBe(errno);
    expect(errnoText(errno)).not.toStartWith("Unknown");
    expect(errnoText(errnoName(errno))).toBe(errnoText(errno));
  }
});

test("names, second names and texts are those of glibc", () => {
  expect(errnoName(2)).toBe("ENOENT");
  expect(errnoNumber("EWOULDBLOCK")).toBe(11);
  expect(errnoNumber("ENOTSUP")).toBe(95);
  expect(errnoText("EOPNOTSUPP")).toBe("Operation not supported");
  expect(errnoText(2)).toBe("No such file or directory");
  expect(errnoText(0)).toBe("Success");
});

test("the text of a number that is no errno begins with 'Unknown'", () => {
  expect(errnoName(4711)).toBe("4711");
  expect(errnoNumber("ENOSUCHTHING")).toBeUndefined();
  expect(errnoText(4711)).toBe("Unknown error 4711");
  expect(errnoText("ENOSUCHTHING")).toBe("Unknown error ENOSUCHTHING");
});
