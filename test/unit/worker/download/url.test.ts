// The names of kept downloads.
import { expect, test } from "bun:test";
import { cachedTags, cacheStem } from "../../../../src/worker/download/url.ts";

const CACHE = { prefix: ".raw-", suffix: ".raw" };
const URL = "http://x/disk.raw";

for (const tag of ['"v1"', 'W/"a.b"', '"\\x41"', '"\xe9-\xc3\xa9"', '"tab\there"'])
  test(`the tag ${JSON.stringify(tag)} is found again in the name of a kept download`, () => {
    const name = cacheStem("/var/lib/machines", URL, tag, CACHE) + CACHE.suffix;
    expect(name).toMatch(/^[\x21-\x7e]+$/);
    expect(cachedTags([name], URL, CACHE)).toEqual([tag]);
  });
