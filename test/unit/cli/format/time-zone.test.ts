import { describe, expect, test } from "bun:test";
import { formatTimestamp, type Zone } from "../../../../src/base/text/format.ts";
import { localZone, parseZoneFile } from "../../../../src/cli/format/time-zone.ts";
import { parseZoneRule } from "../../../../src/cli/format/time-zone-rule.ts";

function at(zone: Zone | null, isoTime: string): string {
  if (zone === null) throw new Error("no zone");
  return formatTimestamp(BigInt(Date.parse(isoTime)) * 1000n, zone);
}

describe("rules", () => {
  test("have standard time and summer time", () => {
    const zone = parseZoneRule("EST5EDT,M3.2.0,M11.1.0");
    expect(at(zone, "2026-11-22T12:35:02Z")).toBe("Sun 2026-11-22 07:35:02 EST");
    expect(at(zone, "2026-07-01T12:00:00Z")).toBe("Wed 2026-07-01 08:00:00 EDT");
    expect(at(zone, "2026-03-08T06:59:59Z")).toBe("Sun 2026-03-08 01:59:59 EST");
    expect(at(zone, "2026-03-08T07:00:00Z")).toBe("Sun 2026-03-08 03:00:00 EDT");
    expect(at(zone, "2026-11-01T05:59:59Z")).toBe("Sun 2026-11-01 01:59:59 EDT");
    expect(at(zone, "2026-11-01T06:00:00Z")).toBe("Sun 2026-11-01 01:00:00 EST");
  });

  test("work south of the equator, where summer time includes the turn of the year", () => {
    const zone = parseZoneRule("AEST-10AEDT,M10.1.0,M4.1.0/3");
    expect(at(zone, "2026-01-01T00:00:00Z")).toBe("Thu 2026-01-01 11:00:00 AEDT");
    expect(at(zone, "2026-07-01T00:00:00Z")).toBe("Wed 2026-07-01 10:00:00 AEST");
  });

  test("may have quoted names, offsets of minutes, numbered days and no summer time", () => {
    expect(at(parseZoneRule("<+0545>-5:45"), "2026-01-01T00:00:00Z")).toBe("Thu 2026-01-01 05:45:00 +0545");
    const iran = parseZoneRule("<+0330>-3:30<+0430>,J79/24,J263/24");
    expect(at(iran, "2021-03-20T20:30:00Z")).toBe("Sun 2021-03-21 01:00:00 +0430");
    expect(at(iran, "2021-03-20T20:29:59Z")).toBe("Sat 2021-03-20 23:59:59 +0330");
    expect(at(iran, "2024-03-19T20:30:00Z")).toBe("Wed 2024-03-20 00:00:00 +0330");
  });

  test("are refused when malformed", () => {
    expect(["", "UTC", "Europe/Berlin", "EST5EDT,M3.2.0", "A5"].map(parseZoneRule)).toEqual([
      null,
      null,
      null,
      null,
      null,
    ]);
  });
});

/** A zone file of version 2 with the given changes (seconds, type), types, names and rule. */
function zoneFile(
  changes: [number, number][],
  types: [offset: number, dst: number, name: number][],
  names: string,
  rule: string,
) {
  const header = (version: number, counts: number[]) => {
    const bytes = Buffer.alloc(44);
    bytes.write("TZif");
    bytes[4] = version;
    for (const [index, count] of counts.entries()) bytes.writeUInt32BE(count, 20 + index * 4);
    return bytes;
  };
  const data = Buffer.alloc(changes.length * 9 + types.length * 6);
  for (const [index, [seconds, type]] of changes.entries()) {
    data.writeBigInt64BE(BigInt(seconds), index * 8);
    data[changes.length * 8 + index] = type;
  }
  for (const [index, [offset, dst, name]] of types.entries()) {
    const start = changes.length * 9 + index * 6;
    data.writeInt32BE(offset, start);
    data[start + 4] = dst;
    data[start + 5] = name;
  }
  const counts = [0, 0, 0, changes.length, types.length, names.length];
  const empty = header(0x32, [0, 0, 0, 0, 1, 1]);
  return Buffer.concat([
    empty,
    Buffer.alloc(7),
    header(0x32, counts),
    data,
    Buffer.from(names, "latin1"),
    Buffer.from(`\n${rule}\n`),
  ]);
}

describe("zone files", () => {
  const zone = parseZoneFile(
    zoneFile(
      [
        [1_000_000_000, 1],
        [1_100_000_000, 0],
      ],
      [
        [3600, 0, 0],
        [7200, 1, 4],
      ],
      "CET\0CEST\0",
      "CET-1CEST,M3.5.0,M10.5.0/3",
    ),
  );

  test("apply the type that is valid at the time", () => {
    expect(at(zone, "2001-09-09T01:46:39Z")).toBe("Sun 2001-09-09 02:46:39 CET");
    expect(at(zone, "2001-09-09T01:46:40Z")).toBe("Sun 2001-09-09 03:46:40 CEST");
  });

  test("apply the rule after the last change", () => {
    expect(at(zone, "2026-07-01T00:00:00Z")).toBe("Wed 2026-07-01 02:00:00 CEST");
    expect(at(zone, "2026-12-01T00:00:00Z")).toBe("Tue 2026-12-01 01:00:00 CET");
  });

  test("are refused when they do not have the format", () => {
    expect(() => parseZoneFile(Buffer.from("not a zone file, though long enough to be one......"))).toThrow(RangeError);
  });
});

test("$TZ may be a rule; UTC is used where it is empty or invalid", async () => {
  expect(at(await localZone("JST-9"), "2026-11-22T12:35:10Z")).toBe("Sun 2026-11-22 21:35:10 JST");
  const zones = await Promise.all(["", ":", "No/Such_Zone", "../../etc/passwd", "/dev/zero"].map(localZone));
  expect(zones.map((zone) => zone(0).abbreviation)).toEqual(Array(5).fill("UTC"));
});
