// Makes the software bill of materials in the format CycloneDX 1.6, JSON. Its serial number is computed from its
// contents, so that two builds with the same parts have identical files.
import type { Part } from "./part.ts";

interface SbomOptions {
  readonly version: string;
  readonly sourceDate: number;
  readonly parts: readonly Part[];
  /** Names and SHA-256 checksums of the executables. */
  readonly executables: readonly { readonly name: string; readonly sha256: string }[];
}

/** Returns the text of the file. */
export function sbom({ version, sourceDate, parts, executables }: SbomOptions): string {
  const root = reference("machined", version);
  const body = {
    version: 1,
    metadata: {
      timestamp: new Date(sourceDate * 1000).toISOString(),
      component: {
        type: "application",
        "bom-ref": root,
        name: "machined",
        version,
        licenses: [{ license: { id: "MIT" } }],
        components: executables.map(({ name, sha256 }) => ({
          type: "file",
          "bom-ref": `file:${name}`,
          name,
          hashes: [{ alg: "SHA-256", content: sha256 }],
        })),
      },
    },
    components: parts.map(component),
    dependencies: dependencies(root, parts),
  };
  const head = { bomFormat: "CycloneDX", specVersion: "1.6", serialNumber: `urn:uuid:${uuidOf(JSON.stringify(body))}` };
  return `${JSON.stringify({ ...head, ...body }, null, 2)}\n`;
}

function reference(name: string, version?: string): string {
  return version === undefined ? name : `${name}@${version}`;
}

function component({ name, version, licence, copyright, source, purl }: Part): object {
  return {
    type: name === "Bun" ? "application" : "library",
    "bom-ref": reference(name, version),
    name,
    ...(version === undefined ? {} : { version }),
    licenses: [licenceChoice(licence)],
    ...(copyright === undefined ? {} : { copyright: copyright.join("\n") }),
    ...(purl === undefined ? {} : { purl }),
    ...(source === undefined ? {} : { externalReferences: [{ type: "vcs", url: source }] }),
  };
}

/**
 * Returns a licence in CycloneDX's form: an id for a name of SPDX, a name for one that SPDX lacks, else an expression.
 */
function licenceChoice(licence: string): object {
  if (licence.startsWith("LicenseRef-")) return { license: { name: licence.slice("LicenseRef-".length) } };
  return licence.includes(" ") ? { expression: licence } : { license: { id: licence } };
}

/** Returns the graph of dependencies: the program contains parts, which contain further parts. */
function dependencies(root: string, parts: readonly Part[]): object[] {
  const direct = parts.filter(({ within }) => within === undefined);
  const refs = (some: readonly Part[]) => some.map(({ name, version }) => reference(name, version));
  return [
    { ref: root, dependsOn: refs(direct) },
    ...direct.map(({ name, version }) => ({
      ref: reference(name, version),
      dependsOn: refs(parts.filter(({ within }) => within === name)),
    })),
  ];
}

/** Returns a UUID of version 8 (RFC 9562) that is computed from a text. */
function uuidOf(text: string): string {
  const bytes = new Bun.CryptoHasher("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
