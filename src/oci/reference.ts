// Completes the names of container images by the host's rules, which are files below systemd/oci-registry/: the
// registry, the protocol, the tag.
import { join } from "node:path";
import { ErrnoError } from "../base/error.ts";
import { type OciReference, parseOciReference } from "../base/vocabulary/oci-reference.ts";
import { readSettings } from "../kernel/file/foreign-file.ts";
import { isErrno } from "../kernel/syscall/sys.ts";

/** A complete reference. */
export interface OciAddress {
  readonly protocol: "https" | "http" | "file";
  readonly registry: string;
  readonly image: string;
  /** A tag, or a digest. */
  readonly version: string;
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
}

/** Throws unless `bytes` have the digest. */
export function requireDigest(bytes: Buffer, digest: string, size: number = bytes.length): void {
  const found = digestOf(bytes);
  if (found !== digest || bytes.length !== size) {
    const what = found === digest ? `${bytes.length} bytes instead of ${size}` : found;
    throw new ErrnoError("EBADMSG", `DOWNLOAD INVALID: expected ${digest}, got ${what}`);
  }
}

/** Parses a reference; throws EINVAL for an invalid one. */
export function requireReference(text: string): OciReference {
  const reference = parseOciReference(text);
  if (reference === undefined) throw new ErrnoError("EINVAL", `Reference '${text}' is not valid.`);
  return reference;
}

/** Parses the reference of an image that is pushed; throws EINVAL where it names no registry, or names a digest. */
export function requirePushReference(text: string): OciReference {
  const reference = requireReference(text);
  if (reference.registry === null) throw new ErrnoError("EINVAL", `Reference '${text}' names no registry to push to.`);
  if (reference.digest !== null)
    throw new ErrnoError(
      "EINVAL",
      `Reference '${text}' names a digest, which follows from the pushed image: use a tag.`,
    );
  return reference;
}

interface RegistryRules {
  readonly defaultProtocol?: string;
  readonly overrideRegistry?: string;
  readonly defaultRegistry?: string;
  readonly overrideImage?: string;
  readonly shortImagePrefix?: string;
  readonly defaultTag?: string;
}

const DOCKER: RegistryRules = { overrideRegistry: "registry-1.docker.io", shortImagePrefix: "library/" };
const FEDORA: RegistryRules = { overrideRegistry: "registry.fedoraproject.org" };

/** The rules where the host has no file of that name. */
const BUILT_IN: Readonly<Record<string, RegistryRules>> = {
  "registry.docker.io": DOCKER,
  "registry.fedora": FEDORA,
  ...Object.fromEntries(["alpine", "archlinux", "debian", "ubuntu"].map((image) => [`image.${image}`, DOCKER])),
  "image.fedora": FEDORA,
  "image.fedora-minimal": FEDORA,
};

const RULE_FOLDERS = ["/etc", "/run", "/usr/local/lib", "/usr/lib"].map((top) => join(top, "systemd/oci-registry"));
const SUFFIX = ".oci-registry";
const RULES_LIMIT_BYTES = 1 << 20;

/**
 * Returns the folders of rules, the most important first; $MACHINED_OCI_REGISTRIES replaces them, for a run that
 * ignores the host's.
 */
function ruleFolders(): readonly string[] {
  const given = process.env["MACHINED_OCI_REGISTRIES"];
  return given ? given.split(":") : RULE_FOLDERS;
}

async function readRules(name: string, folders: readonly string[]): Promise<RegistryRules | null> {
  for (const folder of folders) {
    try {
      const text = await readSettings(join(folder, name + SUFFIX), RULES_LIMIT_BYTES);
      const rules: unknown = JSON.parse(text.toString());
      if (typeof rules !== "object" || rules === null)
        throw new ErrnoError("EBADMSG", `${name}${SUFFIX} is not a JSON object`);
      return rules as RegistryRules;
    } catch (error) {
      if (isErrno(error, "ENOENT")) continue;
      throw error instanceof SyntaxError ? new ErrnoError("EBADMSG", `${name}${SUFFIX}: ${error.message}`) : error;
    }
  }
  return BUILT_IN[name] ?? null;
}

async function rulesFor({ registry, image }: OciReference, folders: readonly string[]): Promise<RegistryRules | null> {
  if (registry !== null) return readRules(`registry.${encodeURIComponent(registry)}`, folders);
  return (await readRules(`image.${encodeURIComponent(image)}`, folders)) ?? readRules("default", folders);
}

const PROTOCOLS = ["https", "http", "file"] as const;

/** Completes a reference by the host's rules. Throws ENODATA when no rule names a registry. */
export async function resolveReference(
  reference: OciReference,
  folders: readonly string[] = ruleFolders(),
): Promise<OciAddress> {
  const rules = (await rulesFor(reference, folders)) ?? {};
  const registry = rules.overrideRegistry ?? reference.registry ?? rules.defaultRegistry;
  if (registry === undefined) throw new ErrnoError("ENODATA", `No registry is known for image '${reference.image}'.`);
  const named = rules.overrideImage ?? reference.image;
  const image = named.includes("/") ? named : `${rules.shortImagePrefix ?? ""}${named}`;
  const protocol = PROTOCOLS.find((one) => one === (rules.defaultProtocol ?? "https"));
  if (protocol === undefined) throw new ErrnoError("EPROTONOSUPPORT", `Unknown protocol '${rules.defaultProtocol}'`);
  return { protocol, registry, image, version: reference.digest ?? reference.tag ?? rules.defaultTag ?? "latest" };
}
