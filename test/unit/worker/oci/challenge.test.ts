import { expect, test } from "bun:test";
import { parseChallenges } from "../../../../src/worker/oci/challenge.ts";

const parsed = (header: string) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

const REALM = "https://auth.example/token";

for (const [what, header, wanted] of [
  [
    "Docker Hub",
    `Bearer realm="${REALM}",service="registry.docker.io",scope="repository:library/alpine:pull"`,
    [["bearer", { realm: REALM, service: "registry.docker.io", scope: "repository:library/alpine:pull" }]],
  ],
  [
    "an error after the scope, with commas in quotes",
    `Bearer realm="${REALM}", scope="repository:a:pull,push", error="invalid_token"`,
    [["bearer", { realm: REALM, scope: "repository:a:pull,push", error: "invalid_token" }]],
  ],
  ["no service and no scope", `Bearer realm="${REALM}"`, [["bearer", { realm: REALM }]]],
  [
    "no quotes",
    `Bearer realm=${REALM},service=registry,scope=repository:a/b:pull`,
    [["bearer", { realm: REALM, service: "registry", scope: "repository:a/b:pull" }]],
  ],
  [
    "no quotes around a value with a comma",
    `Bearer realm=${REALM},scope=repository:a/b:pull,push,service=x`,
    [["bearer", { realm: REALM, scope: "repository:a/b:pull,push", service: "x" }]],
  ],
  [
    "spaces around the equals sign",
    `Bearer realm = "${REALM}" , service = x`,
    [["bearer", { realm: REALM, service: "x" }]],
  ],
  [
    "Basic before Bearer, in one line",
    `Basic realm="Artifactory Realm", Bearer realm="${REALM}",service="art"`,
    [
      ["basic", { realm: "Artifactory Realm" }],
      ["bearer", { realm: REALM, service: "art" }],
    ],
  ],
  [
    "Basic after Bearer, without quotes",
    `Bearer realm=${REALM},service=x, Basic realm=r`,
    [
      ["bearer", { realm: REALM, service: "x" }],
      ["basic", { realm: "r" }],
    ],
  ],
  [
    "schemes with a token in place of parameters, and without any",
    `Negotiate, NTLM abcd==, Bearer realm="${REALM}"`,
    [
      ["negotiate", {}],
      ["ntlm", {}],
      ["bearer", { realm: REALM }],
    ],
  ],
  ["lower and upper case", `bEARER ReAlM="${REALM}"`, [["bearer", { realm: REALM }]]],
  [
    "quotes that are escaped",
    'Basic realm="a \\"b\\", Bearer realm=\\"c\\""',
    [["basic", { realm: 'a "b", Bearer realm="c"' }]],
  ],
  ["quotes that are not closed", 'Basic realm="a, b', [["basic", { realm: "a, b" }]]],
  [
    "a parameter that occurs twice",
    `Bearer realm="${REALM}",realm="https://evil.example"`,
    [["bearer", { realm: REALM }]],
  ],
  ["nothing", "", []],
  ["only commas", " ,, , ", []],
  ["a parameter without a scheme", 'realm="x"', []],
] as const) {
  test(`WWW-Authenticate with ${what}`, () => expect(parsed(header)).toEqual(JSON.parse(JSON.stringify(wanted))));
}

test("the time to parse a header grows only linearly with its length", () => {
  for (const piece of ['"', "a=", "a,", "\\", " ", "=", 'a="\\', "a a", "a=a,a"]) {
    // Of the processor: other programs may make the time longer.
    const before = process.cpuUsage();
    parseChallenges(`Bearer x=${piece.repeat(16_384 / piece.length)}`);
    const { user, system } = process.cpuUsage(before);
    expect([piece, user + system < 2_000_000]).toEqual([piece, true]);
  }
});
