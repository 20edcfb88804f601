// The session of an upload to a simulated registry: which bytes are sent, and what counts as progress.
import { expect, test } from "bun:test";
import { ErrnoError } from "../../../../src/base/error.ts";
import type { HttpReply, HttpRequest } from "../../../../src/worker/download/http.ts";
import { TransientError } from "../../../../src/worker/download/http.ts";
import { PART_LIMITS, PartSize } from "../../../../src/worker/oci/part-size.ts";
import { BlobUpload, blobInMemory, type UploadLimits } from "../../../../src/worker/oci/upload.ts";
import { locationOf, offsetOf, type UploadServer } from "../../../../src/worker/oci/upload-session.ts";

const HOST = "https://registry.example";
const LIMITS: UploadLimits = {
  ...PART_LIMITS,
  wholeBytes: 4,
  firstBytes: 4,
  leastBytes: 2,
  mostBytes: 4,
  tries: 3,
  firstPauseMs: 1,
  progressBytes: 1,
};
const BLOB = Buffer.from("0123456789");

function replied(status: number, headers: Record<string, string> = {}, url = HOST): HttpReply {
  const body = { [Symbol.dispose]: () => {} } as HttpReply["body"];
  return { status, headers: new Headers(headers), url: new URL(url), body };
}

function textOf(body: HttpRequest["body"]): string {
  if (body === undefined || body instanceof Uint8Array) return Buffer.from(body ?? []).toString();
  const text = Buffer.concat([...body.pieces()]).toString();
  expect(text.length).toBe(body.size);
  return text;
}

type Sent = readonly [method: string, range: string, body: string];

/** Sends the blob to a server that answers with `answer`; returns what was sent. */
async function upload(
  answer: (sent: Sent, count: number) => HttpReply,
  blob = BLOB,
  isThere = false,
  limits = LIMITS,
): Promise<{ sent: Sent[]; error: unknown }> {
  const sent: Sent[] = [];
  const server: UploadServer = {
    uploads: `${HOST}/v2/x/blobs/uploads/`,
    has: async () => isThere,
    refuse: async ({ status }) => {
      if (status >= 500) throw new TransientError("EIO", `code ${status}`);
      if (status >= 400) throw new ErrnoError("EIO", `code ${status}`);
    },
    send: async (_url: string, request: HttpRequest) => {
      const one: Sent = [request.method ?? "GET", request.headers?.["Content-Range"] ?? "", textOf(request.body)];
      sent.push(one);
      if (one[0] === "POST" && one[2] === "") return replied(202, { Location: "/session" });
      return answer(one, sent.filter(([method]) => method === one[0]).length);
    },
  };
  try {
    await new BlobUpload(server, blobInMemory(blob, "sha256:x"), limits).run();
    return { sent, error: null };
  } catch (error) {
    return { sent, error };
  }
}

const range = (end: number) => ({ Range: `0-${end}` });

test("a blob is sent in parts, each from where the one before ended; a small blob is sent in one request", async () => {
  const all = await upload(([method]) => replied(method === "PUT" ? 201 : 202));
  expect(all).toEqual({
    sent: [
      ["POST", "", ""],
      ["PATCH", "0-3", "0123"],
      ["PATCH", "4-7", "4567"],
      ["PATCH", "8-9", "89"],
      ["PUT", "", ""],
    ],
    error: null,
  });
  const small = await upload(() => replied(201), Buffer.from("abc"));
  expect(small.sent).toEqual([
    ["POST", "", ""],
    ["PUT", "", "abc"],
  ]);
});

test("when the registry stored only the beginning of a part, the rest is sent", async () => {
  const { sent, error } = await upload(([method], count) =>
    replied(method === "PUT" ? 201 : 202, method === "PATCH" && count === 1 ? range(1) : {}),
  );
  expect(error).toBeNull();
  expect(sent.map(([, , body]) => body).join("")).toBe("0123" + "23456789");
});

test("after a failed request the registry is asked how much it has stored", async () => {
  const { sent, error } = await upload(([method], count) => {
    if (method === "GET") return replied(204, range(5));
    if (method === "PATCH" && count === 2) return replied(503);
    return replied(method === "PUT" ? 201 : 202);
  });
  expect(error).toBeNull();
  expect(sent.map(([method, at]) => `${method} ${at}`.trim())).toEqual([
    "POST",
    "PATCH 0-3",
    "PATCH 4-7",
    "GET",
    "PATCH 6-9",
    "PUT",
  ]);
});

test("when the registry forgets every session, the upload fails after a limited number of tries", async () => {
  const { sent, error } = await upload(([method], count) =>
    method === "GET" || method === "PUT" || count % 2 === 0 ? replied(404) : replied(202),
  );
  expect((error as Error).message).toBe("Registry 'registry.example' no longer has the upload");
  // Bytes that the first session accepted are not progress of the others.
  expect(sent.filter(([method]) => method === "POST").length).toBe(3);
});

for (const status of [404, 405, 410, 415, 416, 501]) {
  test(`a registry that answers parts with ${status} gets the blob whole`, async () => {
    const { sent, error } = await upload(
      ([method]) => replied(method === "PATCH" ? status : method === "GET" ? 404 : 201),
      BLOB,
      false,
      { ...LIMITS, tries: 4 },
    );
    expect(error).toBeNull();
    expect(sent.at(-1)).toEqual(["PUT", "", BLOB.toString()]);
    expect(sent.filter(([method]) => method === "PATCH").length).toBeLessThanOrEqual(2);
  });
}

test("a registry that takes the first part only gets the blob whole", async () => {
  const { sent, error } = await upload(
    ([method], count) => replied(method !== "PATCH" ? 201 : count % 2 === 1 ? 202 : 416),
    BLOB,
    false,
    { ...LIMITS, tries: 4 },
  );
  expect(error).toBeNull();
  expect(sent.at(-1)).toEqual(["PUT", "", BLOB.toString()]);
});

for (const blob of [BLOB, Buffer.from("abc")]) {
  test(`a registry without parts and ends of sessions gets a blob of ${blob.length} bytes at once`, async () => {
    const { sent, error } = await upload(
      ([method]) => replied(method === "POST" ? 201 : method === "GET" ? 404 : 405),
      blob,
    );
    expect(error).toBeNull();
    expect(sent.at(-1)).toEqual(["POST", "", blob.toString()]);
  });
}

test("a registry that takes a blob in no way is an error with a limited number of tries", async () => {
  const { error } = await upload(([method]) => replied(method === "POST" ? 202 : 405));
  expect((error as Error).message).toBe(
    "Registry 'registry.example' takes a blob neither in parts nor whole (code 202)",
  );
});

test("a registry that is busy when it is asked how much it has stored is asked again", async () => {
  const { sent, error } = await upload(
    ([method], count) => {
      if (method === "GET") return count < 3 ? replied(503) : replied(204, range(5));
      if (method === "PATCH" && count === 2) return replied(503);
      return replied(method === "PUT" ? 201 : 202);
    },
    BLOB,
    false,
    { ...LIMITS, tries: 4 },
  );
  expect(error).toBeNull();
  expect(sent.filter(([method]) => method === "POST").length).toBe(1);
  expect(sent.map(([, at]) => at).filter((at) => at !== "")).toEqual(["0-3", "4-7", "6-9"]);
});

test("a session is given up when the registry never tells how much it has stored", async () => {
  const { sent, error } = await upload(
    ([method], count) => {
      if (method === "GET") return replied(500);
      return replied(method === "PATCH" && count === 2 ? 503 : method === "PUT" ? 201 : 202);
    },
    BLOB,
    false,
    { ...LIMITS, tries: 5 },
  );
  expect(error).toBeNull();
  expect(sent.filter(([method]) => method === "POST").length).toBe(2);
});

test("when the answer to the last request is lost and the registry has the blob, nothing is sent again", async () => {
  const { sent, error } = await upload(([method]) => replied(method === "PUT" ? 502 : 202), BLOB, true);
  expect(error).toBeNull();
  expect(sent.filter(([method]) => method === "PUT").length).toBe(1);
});

test("a registry that reports that it stored nothing, or more than was sent, is an error", async () => {
  const nothing = await upload(() => replied(202, range(0)));
  expect((nothing.error as Error).message).toBe(
    "Registry 'registry.example' has stored nothing of the part that was sent",
  );
  const more = await upload(() => replied(202, range(99)));
  expect((more.error as Error).message).toBe(
    "Registry 'registry.example' says that it has 100 bytes of an upload, of which 4 were sent",
  );
});

test("a registry that stores a byte of each part ends the upload after a limited number of tries", async () => {
  let stored = 0;
  const grudging = ([method]: Sent): HttpReply => {
    if (method === "PATCH") stored++;
    return replied(method === "PUT" ? 201 : 202, { Range: `0-${stored - 1}` });
  };
  const blob = Buffer.alloc(1000);
  const { sent, error } = await upload(grudging, blob, false, { ...LIMITS, progressBytes: 100 });
  expect((error as Error).message).toBe("Registry 'registry.example' has stored only 1 of 4 bytes that were sent");
  expect(sent.filter(([method]) => method === "PATCH").length).toBeLessThan(10);
});

test("the Range of a reply tells how much the registry has stored", () => {
  const of = (value: string) => offsetOf(new Headers({ Range: value }));
  expect(["0-0", "0-9", "bytes=0-9", "1-9", "x", "0-9999999999999999"].map(of)).toEqual([0, 10, 10, null, null, null]);
  expect(offsetOf(new Headers())).toBeNull();
});

test("an upload is continued at http and https URLs only, and from https only at https", () => {
  const at = (location: string) => () =>
    locationOf(replied(202, { Location: location }, `${HOST}/v2/`), new URL(HOST)).href;
  expect(at("/a?b=1")()).toBe(`${HOST}/a?b=1`);
  expect(at("https://storage.example/x")()).toBe("https://storage.example/x");
  expect(at("http://storage.example/x")).toThrow("it is not https");
  for (const bad of ["file:///x", "http://["])
    expect(at(bad)).toThrow("names no usable address to continue the upload");
});

test("parts grow on a fast connection and shrink on a slow one, within the limits and the registry's minimum", () => {
  const parts = new PartSize(PART_LIMITS);
  const first = parts.bytes;
  for (let i = 0; i < 20; i++) parts.took(parts.bytes, 1);
  expect(parts.bytes).toBe(PART_LIMITS.mostBytes);
  for (let i = 0; i < 20; i++) parts.took(parts.bytes, 60_000);
  expect(parts.bytes).toBe(PART_LIMITS.leastBytes);
  parts.atLeast(5 << 20);
  expect(parts.bytes).toBe(5 << 20);
  parts.atLeast(2 ** 40);
  expect(parts.bytes).toBe(64 << 20);
  expect(first).toBe(PART_LIMITS.firstBytes);
  // The time limit grows with the size of a part.
  expect(parts.httpLimits(8 << 20).answerMs).toBeGreaterThan(parts.httpLimits(0).answerMs);
});
