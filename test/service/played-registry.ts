// A registry for tests that images are pushed to: it keeps blobs and manifests in memory, and a test can replace its
// answers.
import { afterAll } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const sha256 = (bytes: Uint8Array) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

export interface PushRequest {
  readonly method: string;
  /** The path without the query. */
  readonly path: string;
  readonly url: URL;
  readonly headers: Headers;
  readonly body: Buffer;
  /**
   * The number of requests with this method for a path of this kind (all sessions count as one), including this one.
   */
  readonly count: number;
}

type Answer = Response | null | Promise<Response | null>;

export class PlayedRegistry {
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, Buffer>();
  readonly sessions = new Map<string, Buffer>();
  /** The repositories of blobs. They count only where `separates` is true. */
  readonly repositories = new Map<string, Set<string>>();
  /** Whether each repository has its own blobs, so that those of others must be mounted. */
  separates = false;
  readonly requests: PushRequest[] = [];
  /** Answers in place of the registry; with null the registry answers. */
  before: (request: PushRequest) => Answer = () => null;
  /** The URL of uploads. */
  location = (session: string) => `/v2/uploads/${session}?state=1`;
  readonly #server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 60,
    maxRequestBodySize: 1 << 30,
    fetch: (request) => this.#answer(request),
  });

  constructor() {
    afterAll(() => this.#server.stop(true));
  }

  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  /** The requests, as "METHOD path" without sessions, digests and names. */
  get asked(): string[] {
    return this.requests.map(({ method, path }) => `${method} ${kindOf(path)}`);
  }

  forget(): void {
    this.requests.length = 0;
    this.before = () => null;
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const { method, headers } = request;
    const body = Buffer.from(await request.arrayBuffer());
    const same = this.requests.filter((one) => one.method === method && kindOf(one.path) === kindOf(url.pathname));
    const seen: PushRequest = { method, path: url.pathname, url, headers, body, count: same.length + 1 };
    this.requests.push(seen);
    return (await this.before(seen)) ?? this.play(seen);
  }

  /** The answer of a registry that follows the specification. */
  play({ method, path, url, headers, body }: PushRequest): Response {
    const name = path.split("/").at(-1) ?? "";
    switch (`${method} ${kindOf(path)}`) {
      case "POST uploads": {
        const mounted = url.searchParams.get("mount");
        if (mounted !== null && this.#has(url.searchParams.get("from") ?? "", mounted)) {
          this.#keep(repositoryOf(path), mounted);
          return reply(201, { "Docker-Content-Digest": mounted });
        }
        const session = `${crypto.randomUUID()}@${encodeURIComponent(repositoryOf(path))}`;
        this.sessions.set(session, Buffer.alloc(0));
        return reply(202, { Location: this.location(session) });
      }
      case "GET session":
        return this.#state(name, 204);
      case "PATCH session":
        return this.#append(name, headers.get("content-range"), body);
      case "PUT session":
        return this.#finish(name, url.searchParams.get("digest") ?? "", body);
      case "DELETE session":
        this.sessions.delete(name);
        return reply(204);
      case "HEAD blob": {
        const blob = this.separates && !this.#has(repositoryOf(path), name) ? undefined : this.blobs.get(name);
        return blob === undefined ? reply(404) : reply(200, { "Content-Length": String(blob.length) });
      }
      case "PUT manifest":
        this.manifests.set(name, body);
        return reply(201, { "Docker-Content-Digest": sha256(body) });
      default:
        return reply(404);
    }
  }

  #has(repository: string, digest: string): boolean {
    return this.repositories.get(digest)?.has(repository) ?? false;
  }

  #keep(repository: string, digest: string): void {
    this.repositories.set(digest, (this.repositories.get(digest) ?? new Set()).add(repository));
  }

  #state(session: string, status: number): Response {
    const have = this.sessions.get(session);
    if (have === undefined) return refusal(404, "BLOB_UPLOAD_UNKNOWN", "no such upload");
    return reply(status, { Location: this.location(session), Range: `0-${Math.max(0, have.length - 1)}` });
  }

  #append(session: string, range: string | null, body: Buffer): Response {
    const have = this.sessions.get(session);
    if (have === undefined) return this.#state(session, 404);
    if (range !== `${have.length}-${have.length + body.length - 1}`) return this.#state(session, 416);
    this.sessions.set(session, Buffer.concat([have, body]));
    return this.#state(session, 202);
  }

  #finish(session: string, digest: string, body: Buffer): Response {
    const whole = Buffer.concat([this.sessions.get(session) ?? Buffer.alloc(0), body]);
    if (!this.sessions.delete(session)) return this.#state(session, 404);
    if (sha256(whole) !== digest) return refusal(400, "DIGEST_INVALID", "it is another one");
    this.blobs.set(digest, whole);
    this.#keep(decodeURIComponent(decodeURIComponent(session).split("@")[1] ?? ""), digest);
    return reply(201, { "Docker-Content-Digest": digest });
  }
}

export function reply(status: number, headers: Record<string, string> = {}): Response {
  return new Response(null, { status, headers });
}

/** An error in the format of the specification. */
export function refusal(status: number, code: string, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ errors: [{ code, message }] }, { status, headers });
}

/** The repository in a path such as `/v2/team/web/blobs/…`. */
function repositoryOf(path: string): string {
  return /^\/v2\/(.+?)\/(?:blobs|manifests)\//.exec(path)?.[1] ?? "";
}

function kindOf(path: string): string {
  if (path.endsWith("/blobs/uploads/")) return "uploads";
  if (path.includes("/uploads/")) return "session";
  if (path.includes("/blobs/")) return "blob";
  return path.includes("/manifests/") ? "manifest" : path;
}

/** Makes a directory for $MACHINED_OCI_REGISTRIES whose rules say that these registries use http. */
export function plainRegistries(parent: string, ...hosts: string[]): string {
  const rules = join(parent, "plain-registries");
  mkdirSync(rules, { recursive: true });
  for (const host of hosts) {
    writeFileSync(join(rules, `registry.${encodeURIComponent(host)}.oci-registry`), '{"defaultProtocol":"http"}');
  }
  return rules;
}
