import { expect, test } from "bun:test";
import { formatAddress } from "../../../src/base/ip-address.ts";
import { addressBytes } from "../cli/fake-machines.ts";

test("addresses are written as inet_ntop writes them", () => {
  const same = [
    "10.99.0.2",
    "0.0.0.0",
    "::",
    "::1",
    "fe80::1064:dff:fe1a:87ae",
    "2001:db8::5",
    "2001:db8:0:1:1:1:1:1",
    "1::",
  ];
  expect(same.map((text) => formatAddress(addressBytes(text)))).toEqual(same);
});

test("the longest run of zeros is abbreviated as '::', and the first one of several of that length", () => {
  expect(formatAddress(addressBytes("1:0:0:2::"))).toBe("1:0:0:2::");
  expect(formatAddress([0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4])).toBe("1::2:0:0:3:4");
});

test("IPv6 addresses that contain an IPv4 address are written with it", () => {
  expect(formatAddress([...Array(10).fill(0), 255, 255, 192, 0, 2, 1])).toBe("::ffff:192.0.2.1");
  expect(formatAddress([...Array(12).fill(0), 192, 0, 2, 1])).toBe("::192.0.2.1");
});

test("bytes of another length than 4 or 16 are refused", () =>
  expect([formatAddress([]), formatAddress([1, 2, 3])]).toEqual(["", ""]));
