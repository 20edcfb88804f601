// The header of an HTTP request: what is parsed, and what is refused.
import { expect, test } from "bun:test";
import { type HttpRequest, parseHead } from "../../../../src/ipc/http/request.ts";

const head = (...lines: string[]) => parseHead(lines.join("\r\n"));

test("a request is parsed to path, query and accepted types", () => {
  const request = head("GET /sd?port=9200&x HTTP/1.1", "Host: a", "Accept: text/plain", "accept:\t*/* ") as HttpRequest;
  expect({ ...request, query: [...request.query] }).toEqual({
    method: "GET",
    path: "/sd",
    query: [
      ["port", "9200"],
      ["x", ""],
    ],
    accept: "text/plain,*/*",
  });
  expect(head("HEAD http://host:1/metrics HTTP/1.1", "Host: host")).toMatchObject({ method: "HEAD", path: "/metrics" });
  expect(head("GET / HTTP/1.0")).toMatchObject({ path: "/" });
  expect(head("GET / HTTP/1.1", "Host: a", "Content-Length: 0")).toMatchObject({ path: "/" });
});

const HOST = "Host: a";

test.each<[number, string[]]>([
  [400, [""]],
  [400, ["GET /"]],
  [400, ["GET  / HTTP/1.1", HOST]],
  [400, ["GET / HTTP/1.1 x", HOST]],
  [400, ["GET metrics HTTP/1.1", HOST]],
  [400, ["GET * HTTP/1.1", HOST]],
  [400, ["GET /#a HTTP/1.1", HOST]],
  [400, ["GET /\x80 HTTP/1.1", HOST]],
  [400, ["G@T / HTTP/1.1", HOST]],
  [400, ["GET / http/1.1", HOST]],
  [400, ["GET / HTTP/1.1"]],
  [400, ["GET / HTTP/1.1", HOST, HOST]],
  [400, ["GET / HTTP/1.1", HOST, "no colon"]],
  [400, ["GET / HTTP/1.1", HOST, "Accept : x"]],
  [400, ["GET / HTTP/1.1", HOST, " folded: x"]],
  [400, ["GET / HTTP/1.1", HOST, ": x"]],
  [400, ["GET / HTTP/1.1", HOST, "X: a\0b"]],
  [400, ["GET / HTTP/1.1", HOST, "X: a\nY: b"]],
  [400, ["GET / HTTP/1.1", HOST, "X: a\rY: b"]],
  [400, ["GET / HTTP/1.1", HOST, "Transfer-Encoding: chunked"]],
  [400, ["GET / HTTP/1.1", HOST, "Content-Length: +1"]],
  [400, ["GET / HTTP/1.1", HOST, "Content-Length: 0", "Content-Length: 0"]],
  [413, ["GET / HTTP/1.1", HOST, "Content-Length: 1"]],
  [405, ["POST /metrics HTTP/1.1", HOST, "Content-Length: 3"]],
  [405, ["OPTIONS * HTTP/1.1", HOST]],
  [505, ["GET / HTTP/2.0", HOST]],
])("the status is %d for %j", (status, lines) => {
  expect(head(...lines)).toBe(status as never);
});
