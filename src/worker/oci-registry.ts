// Talking to a registry (the OCI distribution specification): addresses, and the two ways in which it may ask who we are.
// What we know of ourselves goes to the registry, and to the token server it names over https; never to where it redirects
// (CVE-2020-15157).
import { ErrnoError } from "../base/error.ts";
import { type Credentials, credentialsFor, IDENTITY_TOKEN } from "./oci-credentials.ts";
import type { OciAddress } from "./oci-reference.ts";
import { type HttpReply, type HttpRequest, httpGet } from "./pull-http.ts";
import { JOB_LIMITS } from "./pull-job.ts";
import { fetchSide } from "./pull-side.ts";

const TOKEN_LIMIT_BYTES = 1 << 20;
const CLIENT = "machined";

export class OciRegistry {
  readonly address: OciAddress;
  #authorization: string | null = null;
  #asking: Promise<string | null> | null = null;

  constructor(address: OciAddress) {
    this.address = address;
  }

  url(kind: "manifests" | "blobs", version: string): string {
    const { protocol, registry, image } = this.address;
    return `${protocol}://${registry}/v2/${image}/${kind}/${version}`;
  }

  /** Gets an address of this registry, with credentials when it asks for them. */
  readonly get = async (url: string, request: HttpRequest): Promise<HttpReply> => {
    const known = this.#authorization;
    const reply = await httpGet(url, this.#authorized(request));
    if (reply.status !== 401 || new URL(url).origin !== reply.url.origin) return reply;
    const challenge = reply.headers.get("www-authenticate");
    reply.body[Symbol.dispose]();
    // Many layers are asked for at once: one of them fetches the token for all.
    if (this.#authorization === known) {
      this.#asking ??= this.#answer(challenge ?? "").finally(() => {
        this.#asking = null;
      });
      this.#authorization = await this.#asking;
    }
    if (this.#authorization === null) throw new ErrnoError("ENOKEY", "Access to image requires authentication.");
    return httpGet(url, this.#authorized(request));
  };

  #authorized(request: HttpRequest): HttpRequest {
    if (this.#authorization === null) return request;
    return { ...request, headers: { ...request.headers, Authorization: this.#authorization } };
  }

  async #answer(challenge: string): Promise<string | null> {
    const { registry, image } = this.address;
    const credentials = await credentialsFor(registry, image);
    const scheme = challenge.split(" ")[0]?.toLowerCase();
    const mayBeBasic = credentials !== null && credentials.user !== IDENTITY_TOKEN;
    if (scheme === "basic") return mayBeBasic ? basic(credentials) : null;
    if (scheme !== "bearer") throw new ErrnoError("EPROTO", `Unknown way of authentication '${scheme ?? ""}'`);
    return `Bearer ${await this.#token(parameters(challenge), credentials)}`;
  }

  async #token(challenge: ReadonlyMap<string, string>, credentials: Credentials | null): Promise<string> {
    const [realm, service, scope] = ["realm", "service", "scope"].map((key) => challenge.get(key));
    if (realm === undefined || service === undefined || scope === undefined || !URL.canParse(realm)) {
      throw new ErrnoError("EPROTO", "Registry does not say where to get a token");
    }
    const url = new URL(realm);
    if (!this.#mayAsk(url))
      throw new ErrnoError("EPROTO", `Refusing to ask '${url.origin}' for a token, it is not https`);
    const question = tokenRequest(url, { service, scope }, credentials);
    const limits = { ...JOB_LIMITS, sideBytes: TOKEN_LIMIT_BYTES };
    const get = (to: string, request: HttpRequest) => httpGet(to, { ...request, ...question });
    const body = await fetchSide(url.href, limits, get);
    const reply = JSON.parse(body?.toString() ?? "{}") as { token?: unknown; access_token?: unknown };
    const token = reply.token ?? reply.access_token;
    if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token))
      throw new ErrnoError("EPROTO", "No token in the reply");
    return token;
  }

  /** A token server without https is good enough only for a registry that the admin made so, on the same host. */
  #mayAsk(realm: URL): boolean {
    if (realm.protocol === "https:") return true;
    const { protocol, registry } = this.address;
    return protocol === "http" && realm.protocol === "http:" && realm.host === registry;
  }
}

/** How to ask `url` for a token: with the wishes in the address, or, with a token of identity, in a form (OAuth2). */
function tokenRequest(
  url: URL,
  wishes: { readonly service: string; readonly scope: string },
  credentials: Credentials | null,
): HttpRequest {
  if (credentials?.user === IDENTITY_TOKEN) {
    const grant = { grant_type: "refresh_token", refresh_token: credentials.password, client_id: CLIENT };
    return { form: new URLSearchParams({ ...grant, ...wishes }) };
  }
  for (const [key, value] of Object.entries(wishes)) url.searchParams.set(key, value);
  return credentials === null ? {} : { headers: { Authorization: basic(credentials) } };
}

function basic({ user, password }: Credentials): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

function parameters(challenge: string): Map<string, string> {
  const pairs = challenge.matchAll(/([a-z_]+)="([^"]*)"/gi);
  return new Map([...pairs].map(([, key = "", value = ""]) => [key.toLowerCase(), value]));
}
