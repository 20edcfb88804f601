// Names of container images: [REGISTRY/]IMAGE[:TAG][@DIGEST], and what the host's rules make of them. Everything in front
// of the first slash is the registry, as with importctl(1); rules are files below systemd/oci-registry/.
import { join } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { readSettings } from "../../kernel/file/foreign-file.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";

export interface OciReference {
  readonly registry: string | null;
  readonly image: string;
  readonly tag: string | null;
  readonly digest: string | null;
}

/** A reference with everything filled in. */
export interface OciAddress {
  readonly protocol: "https" | "http" | "file";
  readonly registry: string;
  readonly image: string;
  /** A tag, or a digest. */
  readonly version: string;
}

const DIGEST = /^sha256:[0-9a-f]{64}$/;
const IMAGE_PART = /^[a-z0-9_+-][a-z0-9._+-]*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const REGISTRY = /^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$/;

/** Whether text is a digest: what is not is never part of an address or a path. */
export function isDigest(text: unknown): text is string {
  return typeof text === "string" && DIGEST.test(text);
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
}

/** Throws unless `bytes` are what the digest stands for. */
export function requireDigest(bytes: Buffer, digest: string, size: number = bytes.length): void {
  const found = digestOf(bytes);
  if (found !== digest || bytes.length !== size) {
    throw new ErrnoError("EBADMSG", `DOWNLOAD INVALID: ${digest} was asked for, ${found} came`);
  }
}

/** Takes a reference apart. EINVAL when it is none. */
export function parseReference(text: string): OciReference {
  const bad = () => new ErrnoError("EINVAL", `Reference '${text}' is not valid.`);
  const [name = "", digest, more] = text.split("@");
  if (more !== undefined || (digest !== undefined && !isDigest(digest))) throw bad();
  const slash = name.indexOf("/");
  const registry = slash < 0 ? null : name.slice(0, slash);
  const rest = name.slice(slash + 1);
  // A colon in front of the last slash is none of a tag.
  const colon = rest.indexOf(":", rest.lastIndexOf("/") + 1);
  const image = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? null : rest.slice(colon + 1);
  const isGood =
    (registry === null || REGISTRY.test(registry)) &&
    image.split("/").every((part) => IMAGE_PART.test(part)) &&
    (tag === null || TAG.test(tag));
  if (!isGood) throw bad();
  return { registry, image, tag, digest: digest ?? null };
}

export interface RegistryRules {
  readonly defaultProtocol?: string;
  readonly overrideRegistry?: string;
  readonly defaultRegistry?: string;
  readonly overrideImage?: string;
  readonly shortImagePrefix?: string;
  readonly defaultTag?: string;
}

const DOCKER: RegistryRules = { overrideRegistry: "registry-1.docker.io", shortImagePrefix: "library/" };
const FEDORA: RegistryRules = { overrideRegistry: "registry.fedoraproject.org" };

/** What holds where the host has no file of that name. */
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

/** Folders of rules, the most important first; $MACHINED_OCI_REGISTRIES names others, for a run that leaves the host's alone. */
function ruleFolders(): readonly string[] {
  const given = process.env["MACHINED_OCI_REGISTRIES"];
  return given ? given.split(":") : RULE_FOLDERS;
}

function readRules(name: string, folders: readonly string[]): RegistryRules | null {
  for (const folder of folders) {
    try {
      const rules: unknown = JSON.parse(readSettings(join(folder, name + SUFFIX), RULES_LIMIT_BYTES).toString());
      if (typeof rules !== "object" || rules === null)
        throw new ErrnoError("EBADMSG", `${name}${SUFFIX} is no JSON object`);
      return rules as RegistryRules;
    } catch (error) {
      if (isErrno(error, "ENOENT")) continue;
      throw error instanceof SyntaxError ? new ErrnoError("EBADMSG", `${name}${SUFFIX}: ${error.message}`) : error;
    }
  }
  return BUILT_IN[name] ?? null;
}

function rulesFor({ registry, image }: OciReference, folders: readonly string[]): RegistryRules | null {
  if (registry !== null) return readRules(`registry.${encodeURIComponent(registry)}`, folders);
  return readRules(`image.${encodeURIComponent(image)}`, folders) ?? readRules("default", folders);
}

const PROTOCOLS = ["https", "http", "file"] as const;

/** Fills a reference in by the host's rules. ENODATA when nothing says where the image is. */
export function resolveReference(reference: OciReference, folders: readonly string[] = ruleFolders()): OciAddress {
  const rules = rulesFor(reference, folders) ?? {};
  const registry = rules.overrideRegistry ?? reference.registry ?? rules.defaultRegistry;
  if (registry === undefined) throw new ErrnoError("ENODATA", `No registry is known for image '${reference.image}'.`);
  const named = rules.overrideImage ?? reference.image;
  const image = named.includes("/") ? named : `${rules.shortImagePrefix ?? ""}${named}`;
  const protocol = PROTOCOLS.find((one) => one === (rules.defaultProtocol ?? "https"));
  if (protocol === undefined) throw new ErrnoError("EPROTONOSUPPORT", `Unknown protocol '${rules.defaultProtocol}'`);
  return { protocol, registry, image, version: reference.digest ?? reference.tag ?? rules.defaultTag ?? "latest" };
}
