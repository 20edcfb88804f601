// The generators of a release: which parts and licences are named, and in what form.
import { describe, expect, test } from "bun:test";
import { lockedPackage, requireIntegrity } from "../../../install/release/bun-package.ts";
import { control, debianChangelog, debianVersion } from "../../../install/release/deb/control.ts";
import { copyright } from "../../../install/release/deb/copyright.ts";
import { cParts } from "../../../install/release/notices/c-parts.ts";
import { engineParts, unknownLibraries } from "../../../install/release/notices/engine-parts.ts";
import { notices } from "../../../install/release/notices/notices.ts";
import { CARRIED, npmPart, packageFolders } from "../../../install/release/notices/npm-parts.ts";
import { allParts } from "../../../install/release/notices/parts.ts";
import { sbom } from "../../../install/release/notices/sbom.ts";
import { requiredGlibc, wrap } from "../../../install/release/package/texts.ts";
import { maintainer, sourceDate, TOP } from "../../../install/release/project.ts";
import { rpmVersion, spec } from "../../../install/release/rpm/rpm.ts";
import { TARGETS } from "../../../install/release/targets.ts";

const METAFILE = {
  outputs: {
    "main.js": {
      inputs: {
        "src/main.ts": { bytesInOutput: 5 },
        "node_modules/openpgp/dist/node/openpgp.mjs": { bytesInOutput: 7 },
        "node_modules/@oven/none/index.js": { bytesInOutput: 0 },
        "node_modules/citty/node_modules/consola/dist/core.mjs": { bytesInOutput: 1 },
      },
    },
  },
};

function parts() {
  const metafile = { outputs: { a: { inputs: { "node_modules/openpgp/dist/x.mjs": { bytesInOutput: 1 } } } } };
  return allParts({ top: TOP, metafile, versions: process.versions, compiler: { compiler: "12", libc: "2.36" } });
}

describe("parts of the executable", () => {
  test("packages are those that the bundler took code from, found by their innermost node_modules folder", () => {
    expect(packageFolders(METAFILE)).toEqual(["node_modules/citty/node_modules/consola", "node_modules/openpgp"]);
  });

  test("a package without a licence is an error", () => {
    expect(() => npmPart(TOP, "install/without-usocket")).toThrow(
      "is bundled, but its licence or the file LICENSE is missing",
    );
  });

  test("code inside a package is named only if that package is bundled", () => {
    expect(parts().filter(({ within }) => within === "openpgp").length).toBeGreaterThan(4);
    expect(parts().filter(({ within }) => within === "citty")).toEqual([]);
    expect(CARRIED.every(({ within }) => within !== undefined)).toBe(true);
  });

  test("every library that Bun names is listed", () => {
    expect(unknownLibraries(process.versions)).toEqual([]);
    expect(unknownLibraries({ ...process.versions, newlib: "1" })).toEqual(["newlib"]);
    expect(() => engineParts({})).toThrow("names no version of 'bun'");
  });
});

describe("THIRD-PARTY-NOTICES", () => {
  const text = notices("1.2.3", parts());

  test("names every part with its licence", () => {
    for (const { name, licence } of parts()) {
      expect(text).toContain(`\n${name}`);
      expect(text).toContain(`Licence: ${licence}\n`);
    }
  });

  test("has the text of every licence, and the GPL 3 beside the LGPL 3", () => {
    for (const words of [
      "GNU LESSER GENERAL PUBLIC LICENSE\n",
      "Version 2.1, February 1999",
      "GNU GENERAL PUBLIC LICENSE\n",
      "Apache License\n",
      "UNICODE LICENSE V3",
    ])
      expect(text).toContain(words);
    expect(text).toContain("This software is based in part on the work of the Independent JPEG Group.");
    expect(notices("1", [{ name: "x", licence: "LGPL-3.0-or-later", ownText: "own" }])).toContain("Licence GPL-3.0");
  });

  test("every part has a licence text, its own or a common one", () => {
    for (const part of parts())
      expect([part.name, (part.texts ?? []).length > 0 || part.ownText !== undefined]).toEqual([part.name, true]);
  });
});

describe("the list of parts (CycloneDX)", () => {
  const options = {
    version: "1.2.3",
    sourceDate: 1_000_000_000,
    parts: parts(),
    executables: [{ name: "x", sha256: "00" }],
  };
  const list = JSON.parse(sbom(options));

  test("names Bun, JavaScriptCore and openpgp with their versions", () => {
    const versions = Object.fromEntries(
      list.components.map((one: { name: string; version?: string }) => [one.name, one.version]),
    );
    expect(versions["Bun"]).toBe(Bun.version);
    expect(versions["JavaScriptCore (WebKit)"]).toBe(process.versions["webkit"] as string);
    expect(versions["openpgp"]).toMatch(/^\d+\./);
  });

  test("every reference is unique, and every dependency names one of them", () => {
    const refs: string[] = list.components.map((one: { "bom-ref": string }) => one["bom-ref"]);
    expect(new Set(refs).size).toBe(refs.length);
    const wanted: string[] = list.dependencies.flatMap(({ ref, dependsOn }: { ref: string; dependsOn: string[] }) => [
      ref,
      ...dependsOn,
    ]);
    expect(wanted.filter((ref) => ref !== "machined@1.2.3" && !refs.includes(ref))).toEqual([]);
    expect(refs.filter((ref) => !wanted.includes(ref))).toEqual([]);
  });

  test("is the same text for the same parts, and has another serial number for other parts", () => {
    expect(sbom(options)).toBe(sbom(options));
    expect(list.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(JSON.parse(sbom({ ...options, version: "1.2.4" })).serialNumber).not.toBe(list.serialNumber);
    expect(list.metadata.timestamp).toBe("2001-09-09T01:46:40.000Z");
  });
});

describe("packages", () => {
  test("Debian's copyright file has a paragraph for every licence that it names", () => {
    const text = copyright("MIT License\n\nCopyright (c) 2026 somebody\n", parts());
    const stanzas = text.split("\n\n");
    const defined = new Set(stanzas.flatMap((one) => /^License: (.+)\n /.exec(one)?.[1] ?? []));
    const named = stanzas.flatMap((one) => (/^License: (.+)$/m.exec(one)?.[1] ?? "").split(/ and | with /));
    expect(named.filter((name) => name !== "" && !defined.has(name) && !/hanewin|public-domain/.test(name))).toEqual(
      [],
    );
    expect(text).toContain("Copyright: 2026 somebody\n");
  });

  test("versions of pre-releases sort before the release", () => {
    expect(debianVersion("1.0.0")).toBe("1.0.0-1");
    expect(debianVersion("1.0.0-rc.1")).toBe("1.0.0~rc.1-1");
    expect(rpmVersion("1.0.0-rc.1")).toBe("1.0.0~rc.1");
  });

  test("the required version of glibc is the highest one that the executable names, compared by number", () => {
    expect(requiredGlibc("GLIBC_2.9\nGLIBC_2.17\nGLIBC_2.2.5")).toBe("2.17");
    expect(() => requiredGlibc("")).toThrow("names no version");
  });

  test("the control file has the size in KiB and a wrapped description", () => {
    const text = control({
      version: "1.0.0",
      architecture: "arm64",
      maintainer: "A <a@b>",
      glibc: "2.17",
      sizeBytes: 1025,
    });
    expect(text).toContain("\nInstalled-Size: 2\n");
    expect(text).toContain("\nDepends: libc6 (>= 2.17)\n");
    expect(text.split("\n").filter((line) => line.startsWith(" ") && line.length > 80)).toEqual([]);
    expect(wrap("a bb ccc", 4)).toEqual(["a bb", "ccc"]);
  });

  test("the dates in the changelog are the source date", () => {
    expect(debianChangelog("1.0.0", "A <a@b>", 0)).toEndWith(" -- A <a@b>  Thu, 01 Jan 1970 00:00:00 +0000\n");
    expect(sourceDate({ SOURCE_DATE_EPOCH: "12" })).toBe(12);
    expect(() => sourceDate({ SOURCE_DATE_EPOCH: "today" })).toThrow("'today'");
    expect(maintainer({ DEBFULLNAME: "A B", DEBEMAIL: "a@b.example" })).toBe("A B <a@b.example>");
  });

  test("the spec file has no placeholder left", () => {
    expect(spec("/tree")).not.toMatch(/@[A-Z]+@/);
    expect(spec("/tree")).toContain("cp -a /tree/. %{buildroot}/");
  });
});

describe("Bun for other machines", () => {
  test.each(TARGETS.map(({ bunPackage }) => [bunPackage]))("package-lock.json pins %s", (name) => {
    expect(lockedPackage(name).integrity).toStartWith("sha512-");
    expect(lockedPackage(name).version).toBe(Bun.version);
  });

  test("an archive with another checksum is refused", () => {
    const bytes = Buffer.from("x");
    const integrity = `sha512-${new Bun.CryptoHasher("sha512").update(bytes).digest("base64")}`;
    requireIntegrity("it", bytes, integrity);
    expect(() => requireIntegrity("it", Buffer.from("y"), integrity)).toThrow("it has the checksum");
    expect(() => lockedPackage("no-such-package")).toThrow("has no version and checksum of 'no-such-package'");
  });
});

test("the C library and the compiler's library are listed for the program that enters machines", () => {
  expect(cParts("12.2.0", "2.36").map(({ name, version }) => `${name} ${version}`)).toEqual([
    "GNU C Library 2.36",
    "libgcc and libstdc++ 12.2.0",
  ]);
});
