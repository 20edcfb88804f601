// Every list of the vocabulary is written down once: no other file below src repeats two of its words in one literal.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { Glob } from "bun";
import { IoSystemdImport } from "../../../../src/api/varlink/io-systemd-import.ts";
import {
  COMPRESSIONS,
  compressionOfName,
  parseCompression,
  withoutImageSuffix,
} from "../../../../src/base/vocabulary/compression.ts";
import {
  CLASS_DIRECTORIES,
  IMAGE_CLASSES,
  IMAGE_SEARCH_PATHS,
  imagePool,
} from "../../../../src/base/vocabulary/image-class.ts";
import { STOCK_TRANSFER_TYPES, VERIFY_MODES } from "../../../../src/base/vocabulary/transfer.ts";
import { INTERFACE_VERSION } from "../../../../src/base/vocabulary/version.ts";
import { IMPORTCTL_OPTIONS } from "../../../../src/cli/program/importctl-options.ts";

const SOURCES = join(import.meta.dir, "../../../../src");
const LISTS = { COMPRESSIONS, IMAGE_CLASSES: IMAGE_CLASSES.values, VERIFY_MODES: VERIFY_MODES.values };

for (const [list, words] of Object.entries(LISTS)) {
  test(`no file outside src/base/vocabulary repeats the words of ${list}`, async () => {
    const word = `["'\`]?\\b(?:${words.join("|")})\\b["'\`]?`;
    const repeated = new RegExp(`(?:${word}\\s*[,|]\\s*){2}${word}`);
    const found: string[] = [];
    for (const file of new Glob("**/*.ts").scanSync(SOURCES)) {
      if (file.startsWith("base/vocabulary/")) continue;
      const text = (await Bun.file(join(SOURCES, file)).text()).replace(/\/\/.*$|\/\*[\s\S]*?\*\//gm, "");
      const match = repeated.exec(text);
      if (match !== null) found.push(`${file}: ${match[0]}`);
    }
    expect(found).toEqual([]);
  });
}

test("options, Varlink types and suffixes of file names have the same compression formats", () => {
  const { types } = IoSystemdImport;
  expect(types["ExportFormat"]).toEqual(COMPRESSIONS);
  expect(types["TransferType"]).toEqual(STOCK_TRANSFER_TYPES.map((type) => type.replace("-", "_")));
  expect(IMPORTCTL_OPTIONS["format"]?.description).toContain(COMPRESSIONS.join(", "));
  for (const format of COMPRESSIONS) expect(parseCompression(format)).toBe(format);
  for (const suffix of ["gz", "xz", "bz2", "zst", "lz4"]) {
    expect(parseCompression(compressionOfName(`i.tar.${suffix}`))).not.toBe("uncompressed");
    expect(withoutImageSuffix(`i.tar.${suffix}`, "tar")).toBe("i");
    expect(withoutImageSuffix(`i.sysext.raw.${suffix}`, "raw")).toBe("i");
  }
  expect(parseCompression("toString")).toBeUndefined();
});

test("images of every class are searched for in directories of that class, the pool among them", () => {
  for (const name of IMAGE_CLASSES.values) {
    expect(IMAGE_SEARCH_PATHS[name]).toContain(imagePool(name));
    const foreign = IMAGE_SEARCH_PATHS[name].filter((path) => !path.endsWith(`/${CLASS_DIRECTORIES[name]}`));
    expect(foreign).toEqual(name === "machine" ? ["/var/lib/container"] : []);
  }
});

test("the daemons report the version of the package", async () => {
  const { version } = await Bun.file(join(SOURCES, "../package.json")).json();
  expect(INTERFACE_VERSION).toBe(`262 (machined ${version})`);
});
