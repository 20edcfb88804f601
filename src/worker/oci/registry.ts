// The client of a registry (the OCI distribution specification): addresses, and the two authentication schemes.
// Credentials are sent to the registry, and to its token server over https; never to the target of a redirect
// (CVE-2020-15157).
import { ErrnoError } from "../../base/error.ts";
import { type Credentials, credentialsFor, IDENTITY_TOKEN } from "../../oci/credentials.ts";
import type { OciAddress } from "../../oci/reference.ts";
import { type HttpReply, type HttpRequest, httpGet } from "../download/http.ts";
import { JOB_LIMITS } from "../download/limits.ts";
import { fetchSide } from "../download/small-file.ts";
import { log } from "../program/log.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";

const TOKEN_LIMIT_BYTES = 1 << 20;
const CLIENT = "machined";
const BEARER = "Bearer ";
/**
 * How many tokens a request asks for, one after the other, before their refusal is an error. A push asks once: a token
 * without the scope of another repository is refused each time, and the push can do without.
 */
const MOST_TOKENS = { pull: 3, push: 1 } as const;

/** The purpose of a client, and its source of credentials. */
export interface RegistryUse {
  /** Whether images are pushed; unless given, they are only pulled. */
  readonly pushes?: boolean;
  /** Returns the user's credentials; unless given, they are read from the files of this process's user. */
  readonly credentials?: (address: OciAddress) => Promise<Credentials | null>;
}

function ownCredentials({ registry, image }: OciAddress): Promise<Credentials | null> {
  return credentialsFor(registry, image, (text) => log("warning", text));
}

/** Returns the commands that store a login where pushes and pulls search for it, for messages. */
export function loginCommands(registry: string): string {
  return `'skopeo login ${registry}' and 'podman login ${registry}'`;
}

export class OciRegistry {
  readonly address: OciAddress;
  readonly #pushes: boolean;
  readonly #credentials: NonNullable<RegistryUse["credentials"]>;
  #authorization: string | null = null;
  #asking: Promise<string | null> | null = null;

  constructor(address: OciAddress, { pushes = false, credentials = ownCredentials }: RegistryUse = {}) {
    this.address = address;
    this.#pushes = pushes;
    this.#credentials = credentials;
  }

  url(kind: "manifests" | "blobs" | "blobs/uploads", version: string): string {
    const { protocol, registry, image } = this.address;
    return `${protocol}://${registry}/v2/${image}/${kind}/${version}`;
  }

  /** Sends a request to an address of this registry, with credentials when it requires them. */
  readonly get = async (url: string, request: HttpRequest): Promise<HttpReply> => {
    for (let refusals = 1; ; refusals++) {
      const known = this.#authorization;
      const reply = await httpGet(url, this.#authorized(request));
      if (reply.status !== 401 || new URL(url).origin !== reply.url.origin) return reply;
      // A token may expire again before it is used; a password that was refused is not sent again.
      const most = known?.startsWith(BEARER) === true ? MOST_TOKENS[this.#pushes ? "push" : "pull"] : 1;
      if (refusals > most) return reply;
      const challenge = reply.headers.get("www-authenticate");
      reply.body[Symbol.dispose]();
      await this.#renew(known, challenge ?? "");
    }
  };

  /** Gets another authorization in place of `refused`, unless that was done meanwhile: all layers share one. */
  async #renew(refused: string | null, challenge: string): Promise<void> {
    if (this.#authorization === refused) {
      this.#asking ??= this.#answer(challenge).finally(() => {
        this.#asking = null;
      });
      this.#authorization = await this.#asking;
    }
    if (this.#authorization === null) throw this.#unknown();
  }

  #unknown(): ErrnoError {
    if (!this.#pushes) return new ErrnoError("ENOKEY", "Access to image requires authentication.");
    const { registry } = this.address;
    const help = `${loginCommands(registry)} store one`;
    return new ErrnoError("ENOKEY", `Registry '${registry}' requires a login, and none is known: ${help}.`);
  }

  #authorized(request: HttpRequest): HttpRequest {
    if (this.#authorization === null) return request;
    return { ...request, headers: { ...request.headers, Authorization: this.#authorization } };
  }

  /** Chooses one of the offered schemes: a token first, because it may be available without credentials. */
  async #answer(header: string): Promise<string | null> {
    const challenges = parseChallenges(header);
    const bearer = challenges.find(({ scheme, parameters }) => scheme === "bearer" && parameters.get("realm"));
    const hasBasic = challenges.some(({ scheme }) => scheme === "basic");
    if (bearer === undefined && !hasBasic) throw noWay(challenges);
    const credentials = await this.#credentials(this.address);
    const mayBeBasic = hasBasic && credentials !== null && credentials.user !== IDENTITY_TOKEN;
    if (bearer === undefined) return mayBeBasic ? basic(credentials) : null;
    try {
      return `${BEARER}${await this.#token(bearer.parameters, credentials)}`;
    } catch (error) {
      if (!mayBeBasic) throw error;
      log("debug", `No token, using the password: ${error instanceof Error ? error.message : String(error)}`);
      return basic(credentials);
    }
  }

  async #token(parameters: ReadonlyMap<string, string>, credentials: Credentials | null): Promise<string> {
    const { protocol, registry, image } = this.address;
    const realm = parameters.get("realm") ?? "";
    const base = `${protocol}://${registry}/`;
    if (!URL.canParse(realm, base))
      throw new ErrnoError("EPROTO", `Registry '${registry}' requires a token but names no token server`);
    const url = new URL(realm, base);
    if (!this.#mayAsk(url, credentials))
      throw new ErrnoError("EPROTO", `Refusing to ask '${url.origin}' for a token, it is not https`);
    const scope = this.#scope(image, parameters.get("scope") ?? "");
    const question = tokenRequest(url, { service: parameters.get("service") ?? "", scope }, credentials);
    const limits = { ...JOB_LIMITS, sideBytes: TOKEN_LIMIT_BYTES };
    const get = (to: string, request: HttpRequest) => httpGet(to, { ...request, ...question });
    return tokenOf(await fetchSide(url.href, limits, get), url.host);
  }

  /**
   * Returns the scope to request a token for. Some registries name a smaller scope than a push needs, and refuse its
   * token.
   */
  #scope(image: string, named: string): string {
    if (!this.#pushes) return named || `repository:${image}:pull`;
    const own = `repository:${image}:`;
    const others = named.split(" ").filter((one) => one !== "" && !one.startsWith(own));
    return [`${own}pull,push`, ...others].join(" ");
  }

  /**
   * A token server without https is accepted only for a registry that the admin configured so: on the same host for a
   * password, on any host for a token without credentials.
   */
  #mayAsk(realm: URL, credentials: Credentials | null): boolean {
    if (realm.protocol === "https:") return true;
    const { protocol, registry } = this.address;
    return protocol === "http" && realm.protocol === "http:" && (credentials === null || realm.host === registry);
  }
}

/** How many schemes are named in an error. */
const WAYS_SHOWN = 5;

function noWay(challenges: readonly Challenge[]): ErrnoError {
  const schemes = new Set(challenges.map(({ scheme }) => `'${scheme.slice(0, 32)}'`));
  const ways = [...schemes].slice(0, WAYS_SHOWN).join(", ");
  if (ways === "") return new ErrnoError("ENOKEY", "Access to image requires authentication.");
  return new ErrnoError("EPROTO", `Registry wants authentication by ${ways}; only 'bearer' and 'basic' are known`);
}

interface TokenScope {
  /** Empty where the registry names none. */
  readonly service: string;
  readonly scope: string;
}

/** Returns the request for a token: with parameters in the address, or, with an identity token, in a form (OAuth2). */
function tokenRequest(url: URL, { service, scope }: TokenScope, credentials: Credentials | null): HttpRequest {
  const ofService = service === "" ? {} : { service };
  if (credentials?.user === IDENTITY_TOKEN) {
    const grant = { grant_type: "refresh_token", refresh_token: credentials.password, client_id: CLIENT };
    return { form: new URLSearchParams({ ...grant, ...ofService, scope }) };
  }
  if (service !== "") url.searchParams.set("service", service);
  url.searchParams.delete("scope");
  // Several scopes are several parameters; servers of the form take them in one.
  for (const one of scope.split(" ").filter((text) => text !== "")) url.searchParams.append("scope", one);
  return credentials === null ? {} : { headers: { Authorization: basic(credentials) } };
}

/** Returns the token in a reply, which has one of two names, or both. */
function tokenOf(body: Buffer | null, host: string): string {
  const missing = `The token server '${host}' sent no token in its reply`;
  let reply: unknown = null;
  try {
    reply = JSON.parse(body?.toString() ?? "");
  } catch (error) {
    throw new ErrnoError("EPROTO", missing, { cause: error });
  }
  const { token, access_token } = (reply ?? {}) as { token?: unknown; access_token?: unknown };
  const found = token || access_token;
  if (typeof found !== "string" || !/^[\x21-\x7e]+$/.test(found)) throw new ErrnoError("EPROTO", missing);
  return found;
}

function basic({ user, password }: Credentials): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}
