// nss-mymachines and a daemon that answers in another way than it should.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MAIN = join(import.meta.dir, "../../../src/main.ts");
const directory = mkdtempSync(join(tmpdir(), "nss-lookup-"));
let answer = "";
let listener: { stop(): void };

beforeAll(() => {
  mkdirSync(join(directory, "machine"));
  listener = Bun.listen({
    unix: join(directory, "machine/names"),
    socket: { data: (socket) => void socket.end(answer) },
  });
});
afterAll(() => {
  listener.stop();
  rmSync(directory, { recursive: true });
});

async function lookUp(...args: string[]): Promise<string> {
  const child = Bun.spawn([process.execPath, MAIN, "nss-mymachines", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, MACHINED_RUNTIME_DIRECTORY: directory },
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return `${await child.exited} ${stdout}${stderr}`;
}

const FAILED = "1 nss-mymachines: Failed to ask systemd-machined:";

test.each([
  ["", "passwd", "the connection was closed without an answer"],
  ["", "hosts", "the connection was closed without an answer"],
  ["OK 2\n4 0a00", "hosts", "the answer is not valid"],
  ["OK 2\n4 0a000002\nPW a 1 2 b\n", "hosts", "the answer is not valid"],
  ["PW vu-m-0:x 1 2 User\n", "passwd", "the answer is not valid"],
  ["GR\n", "group", "the answer is not valid"],
  ["ER none\n", "group", "the answer is not valid"],
])("the answer %p about %s is an error", async (given, database, reason) => {
  answer = given;
  expect(await lookUp(database, "m")).toBe(`${FAILED} ${reason}\n`);
});

test.each([
  ["NO\n", "hosts", "2 "],
  ["OK 2\n4 0a000002\n", "hosts", "0 10.0.0.2        m\n"],
  [
    "PW vu-m-0 65536 65534 UID 0 of Container m\n",
    "passwd",
    "0 vu-m-0:x:65536:65534:UID 0 of Container m:/:/usr/sbin/nologin\n",
  ],
  ["GR vg-m-0 65536\n", "group", "0 vg-m-0:x:65536:\n"],
  ["ER 13\n", "group", "1 nss-mymachines: Failed to look up 'm': Permission denied\n"],
])("the answer %p about %s is printed", async (given, database, printed) => {
  answer = given;
  expect(await lookUp(database, "m")).toBe(printed);
});
