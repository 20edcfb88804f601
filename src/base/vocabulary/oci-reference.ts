// Names of container images as users write them: `[REGISTRY/]IMAGE[:TAG][@DIGEST]`. The text before the first slash is
// the registry, as with importctl(1).
import { isHostName } from "../names.ts";

export interface OciReference {
  readonly registry: string | null;
  readonly image: string;
  readonly tag: string | null;
  readonly digest: string | null;
}

const IMAGE = /^(?!\.)[a-z0-9._+-]+(\/(?!\.)[a-z0-9._+-]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Whether `text` is a SHA-256 digest, the only supported kind. Check before a digest becomes part of a URL or path. */
export function isOciDigest(text: unknown): text is string {
  return typeof text === "string" && DIGEST.test(text);
}

/** Parses a reference; returns undefined for an invalid one. */
export function parseOciReference(text: string): OciReference | undefined {
  const at = text.indexOf("@");
  const digest = at < 0 ? null : text.slice(at + 1);
  const named = at < 0 ? text : text.slice(0, at);
  const slash = named.indexOf("/");
  const registry = slash < 0 ? null : named.slice(0, slash);
  const rest = named.slice(slash + 1);
  const colon = rest.lastIndexOf(":");
  const image = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? null : rest.slice(colon + 1);
  const isValid =
    IMAGE.test(image) &&
    (registry === null || isRegistry(registry)) &&
    (tag === null || TAG.test(tag)) &&
    (digest === null || isOciDigest(digest));
  return isValid ? { registry, image, tag, digest } : undefined;
}

/**
 * Whether `text` is a destination for pushing: with a registry, and without a digest, which only the result determines.
 */
export function isPushReference(text: string): boolean {
  const reference = parseOciReference(text);
  return reference !== undefined && reference.registry !== null && reference.digest === null;
}

/** An IPv6 address in brackets, as in URLs, with or without a port. */
const IPV6_REGISTRY = /^\[([0-9A-Fa-f:.]{2,45})\](:[0-9]{1,5})?$/;

function isRegistry(text: string): boolean {
  const ipv6 = IPV6_REGISTRY.exec(text);
  if (ipv6 !== null) return URL.canParse(`http://[${ipv6[1]}]/`);
  const [host = "", port, ...more] = text.split(":");
  return more.length === 0 && isHostName(host) && (port === undefined || /^[0-9]{1,5}$/.test(port));
}
