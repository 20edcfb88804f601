// Targets for HTTP headers of registries and other servers.

import { retryAfter } from "../../src/worker/download/retry.ts";
import { contentRange, isStrong } from "../../src/worker/download/validators.ts";
import { parseChallenges } from "../../src/worker/oci/challenge.ts";
import { refusing, type Target, texts } from "./target.ts";

const ERRORS = ["ErrnoError"];
const NOW = Date.UTC(2026, 0, 1);

/** Replaces characters that an HTTP client does not accept in the value of a header. */
function headerText(bytes: Buffer): string {
  return bytes.toString("latin1").replace(/[^\t -~\x80-\xff]/g, " ");
}

export const REGISTRY_TARGETS: Readonly<Record<string, Target>> = {
  "www-authenticate": {
    seeds: texts(
      'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull"',
      'Basic realm=x, Bearer realm=https://h/t, service=s, error="invalid_token"',
      'Negotiate YII=, Digest realm="a \\"b\\"", qop="auth,auth-int"',
    ),
    run(bytes) {
      refusing(ERRORS, () => {
        if (!Array.isArray(parseChallenges(headerText(bytes)))) throw new TypeError("no list");
      });
    },
  },
  "content-range": {
    seeds: texts(
      "bytes 0-99/200",
      "bytes 5-5/*",
      "bytes */77",
      "bytes 9007199254740993-9007199254740994/99999999999999999999",
    ),
    run(bytes) {
      refusing(ERRORS, () => {
        const range = contentRange(new Headers({ "content-range": headerText(bytes) }));
        const numbers = range === null ? [] : Object.values(range).filter((value) => value !== null);
        if (!numbers.every((value) => Number.isSafeInteger(value) && value >= 0))
          throw new TypeError("a range that cannot be");
      });
      isStrong(headerText(bytes));
    },
  },
  "retry-after": {
    seeds: texts("120", "Fri, 31 Dec 1999 23:59:59 GMT", "Thu, 01 Jan 2026 00:00:30 GMT", "1e99", "-5"),
    run(bytes) {
      refusing(ERRORS, () => {
        const wait = retryAfter(new Headers({ "retry-after": headerText(bytes) }), NOW);
        if (!(wait >= 0)) throw new TypeError(`waits ${wait}`);
      });
    },
  },
};
