// Keyrings in gpg's own format.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as openpgp from "openpgp";
import { isKeybox, keysInKeybox } from "../../../../src/worker/verify/keybox.ts";
import { readKeyring } from "../../../../src/worker/verify/keyring.ts";
import { verifyDetached } from "../../../../src/worker/verify/signature.ts";
import { havePrograms } from "../../../lib/programs.ts";

const scratch = mkdtempSync(join(tmpdir(), "keybox-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, index * 4);
  return bytes;
}

const HEADER = Buffer.concat([numbers(32, 0x01010002), Buffer.from("KBXf"), Buffer.alloc(20)]);

function record(key: Uint8Array, { type = 2, flags = 0 } = {}): Buffer {
  const [before, after] = [Buffer.from("index"), Buffer.from("trust and checksum")];
  const offset = 16 + before.length;
  const head = numbers(offset + key.length + after.length, (type << 24) | (1 << 16) | flags, offset, key.length);
  return Buffer.concat([head, before, key, after]);
}

async function newKey(): Promise<Uint8Array> {
  const { publicKey } = await openpgp.generateKey({ userIDs: [{ name: "k" }], format: "object" });
  return publicKey.write() as Uint8Array;
}

test("the keys of a keybox are read, without removed and temporary records and without certificates", async () => {
  const [one, two, other] = [await newKey(), await newKey(), await newKey()];
  const removed = record(other, { type: 0 });
  const ignored = [removed, record(other, { flags: 2 }), record(other, { type: 3 })];
  const file = Buffer.concat([HEADER, record(one), ...ignored, record(two)]);
  expect(isKeybox(file)).toBe(true);
  expect(isKeybox(Buffer.from(one))).toBe(false);
  expect(keysInKeybox(file).equals(Buffer.concat([one, two]))).toBe(true);
  expect((await readKeyring([file])).length).toBe(2);
  expect(await readKeyring([HEADER])).toEqual([]);
});

test("a damaged keybox is an error, and not a shorter ring", async () => {
  const good = record(await newKey());
  const outside = Buffer.from(good);
  outside.writeUInt32BE(good.length, 12);
  const early = Buffer.from(good);
  early.writeUInt32BE(0, 8);
  for (const bad of [
    good.subarray(0, good.length - 1),
    Buffer.alloc(3),
    numbers(0),
    outside,
    early,
    numbers(8, 2 << 24),
  ])
    await expect(readKeyring([Buffer.concat([HEADER, bad])])).rejects.toThrow("Cannot read the keyring");
});

test.skipIf(!havePrograms("a keyring that gpg makes", "gpg"))("a ring that `gpg --import` made is read", async () => {
  const home = mkdtempSync(join(scratch, "gpg-"));
  const gpg = (args: string[], input = "") => {
    const options = ["--homedir", home, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"];
    return Bun.spawnSync(["gpg", ...options, ...args], { stdin: Buffer.from(input), stderr: "ignore" }).stdout;
  };
  for (const name of ["one", "two"]) gpg(["--quick-generate-key", `${name}@example.com`, "ed25519", "sign"]);
  writeFileSync(join(home, "keys"), gpg(["--export"]));
  const ring = join(home, "import-pubring.gpg");
  gpg(["--no-default-keyring", "--keyring", ring, "--import", join(home, "keys")]);
  const signature = Buffer.from(gpg(["--local-user", "two@example.com", "--detach-sign"], "sums"));
  const keys = await readKeyring([readFileSync(ring)]);
  expect(keys.length).toBe(2);
  await verifyDetached(Buffer.from("sums"), signature, keys);
  await expect(verifyDetached(Buffer.from("others"), signature, keys)).rejects.toThrow("Signature verification failed");
  Bun.spawnSync(["gpgconf", "--homedir", home, "--kill", "all"]);
});
