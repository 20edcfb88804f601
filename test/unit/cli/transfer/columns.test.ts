import { expect, test } from "bun:test";
import { UINT64_MAX } from "../../../../src/base/text/format.ts";
import { IMAGE_COLUMNS, type ImageRow } from "../../../../src/cli/transfer/columns.ts";

test("importctl list-images: unknown times and sizes are dashes without a colour; rw is bright", () => {
  const row: ImageRow = [
    "machine",
    "a",
    "raw",
    "/a.raw",
    false,
    0n,
    0n,
    UINT64_MAX,
    UINT64_MAX,
    UINT64_MAX,
    UINT64_MAX,
  ];
  const zone = { name: () => "UTC", offset: () => 0 } as never;
  const cells = new Map(IMAGE_COLUMNS.map(({ key, cell }) => [key, cell(row, { zone } as never)]));
  const unknown = ["crtime", "mtime", "usage", "limit"].map((key) => cells.get(key));
  expect(unknown.map((cell) => [cell?.text, cell?.empty, cell?.color])).toEqual(
    unknown.map(() => ["-", undefined, undefined]),
  );
  expect(cells.get("ro")?.color).toBe("brightGreen");
});
