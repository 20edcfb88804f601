import { afterAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as openpgp from "openpgp";
import type { VerifyMode } from "../../../../src/base/vocabulary/transfer.ts";
import { listsChecksum, requireListed, type SumsFile, trustedText } from "../../../../src/worker/verify/checksums.ts";
import { type Keyring, keyringFiles, readKeyring } from "../../../../src/worker/verify/keyring.ts";
import { isClearSigned, verifyClearSigned, verifyDetached } from "../../../../src/worker/verify/signature.ts";
import { fetchSums } from "../../../../src/worker/verify/sums.ts";
import { havePrograms } from "../../../lib/programs.ts";

const scratch = mkdtempSync(join(tmpdir(), "signature-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const DAY = 86_400_000;
const hash = createHash("sha256").update("image").digest("hex");
const SUMS = Buffer.from(`${hash}  image.raw\n`);

async function newKey(options: { date?: Date; keyExpirationTime?: number; subkeys?: { sign: boolean }[] } = {}) {
  const { privateKey } = await openpgp.generateKey({
    userIDs: [{ name: "Test" }],
    format: "object",
    type: "ecc",
    ...options,
  });
  return privateKey;
}

async function sign(key: openpgp.PrivateKey, content: Buffer, date = new Date()): Promise<Buffer> {
  const message = await openpgp.createMessage({ binary: new Uint8Array(content) });
  const signature = await openpgp.sign({ message, signingKeys: key, detached: true, format: "binary", date });
  return Buffer.from(signature as Uint8Array);
}

async function ringOf(...keys: openpgp.Key[]): Promise<Keyring> {
  const bytes = Buffer.concat(
    keys.map((key) => Buffer.from((key.isPrivate() ? (key as openpgp.PrivateKey).toPublic() : key).write())),
  );
  return readKeyring([bytes]);
}

const outcome = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return "good";
  } catch (error) {
    return (error as Error).message;
  }
};

const INVALID = "DOWNLOAD INVALID: Signature verification failed.";

test("I80: a detached signature is valid for exactly the signed bytes, armoured or not, by a primary key or a sub-key", async () => {
  const key = await newKey({ subkeys: [{ sign: true }] });
  const ring = await ringOf(key);
  const signature = await sign(key, SUMS);
  expect(await outcome(verifyDetached(SUMS, signature, ring))).toBe("good");
  const armored = Buffer.from((await openpgp.readSignature({ binarySignature: new Uint8Array(signature) })).armor());
  expect(await outcome(verifyDetached(SUMS, armored, ring))).toBe("good");
  for (const bytes of [Buffer.concat([SUMS, Buffer.from("\n")]), SUMS.subarray(1), Buffer.alloc(0)]) {
    expect(await outcome(verifyDetached(bytes, signature, ring))).toStartWith(INVALID);
  }
  for (const bad of [Buffer.alloc(0), Buffer.from("garbage"), signature.subarray(0, 20)]) {
    expect(await outcome(verifyDetached(SUMS, bad, ring))).toStartWith(INVALID);
  }
});

test("a file of several signatures is read, armoured blocks as well as packets, and all that can be checked must be good", async () => {
  const [one, two, stranger] = [await newKey(), await newKey(), await newKey()];
  const ring = await ringOf(one, two);
  const armored = async (bytes: Buffer) =>
    Buffer.from((await openpgp.readSignature({ binarySignature: new Uint8Array(bytes) })).armor());
  const other = Buffer.from("other content");
  const rows: readonly [signatures: readonly Buffer[], isGood: boolean][] = [
    [[await sign(one, SUMS), await sign(two, SUMS)], true],
    [[await sign(one, SUMS), await sign(two, other)], false],
    [[await sign(two, other), await sign(one, SUMS)], false],
    [[await sign(stranger, SUMS), await sign(one, SUMS)], true],
    [[await sign(one, SUMS), await sign(stranger, SUMS)], true],
    [[await sign(stranger, SUMS), await sign(stranger, SUMS)], false],
  ];
  for (const [index, [signatures, isGood]] of rows.entries()) {
    const blocks = Buffer.concat(await Promise.all(signatures.map(armored)));
    const spaced = Buffer.concat([Buffer.from("signed by two\n"), blocks, Buffer.from("\n\n")]);
    for (const file of [Buffer.concat(signatures), blocks, spaced]) {
      const result = await outcome(verifyDetached(SUMS, file, ring));
      expect([index, isGood ? result : result.slice(0, INVALID.length)]).toEqual([index, isGood ? "good" : INVALID]);
    }
  }
});

test("signatures by unknown, expired and revoked keys are not accepted; one valid signature of two is enough", async () => {
  const [good, stranger] = [await newKey(), await newKey()];
  const ring = await ringOf(good);
  const foreign = await sign(stranger, SUMS);
  expect(await outcome(verifyDetached(SUMS, foreign, ring))).toStartWith(INVALID);
  expect(await outcome(verifyDetached(SUMS, Buffer.concat([foreign, await sign(good, SUMS)]), ring))).toBe("good");
  const { publicKey: revoked } = await openpgp.revokeKey({
    key: good,
    format: "object",
    reasonForRevocation: { flag: openpgp.enums.reasonForRevocation.keyCompromised },
  });
  expect(await outcome(verifyDetached(SUMS, await sign(good, SUMS), await ringOf(revoked)))).toStartWith(INVALID);
});

test("a signature by a key that has expired since then is not accepted", async () => {
  const past = new Date(Date.now() - 10 * DAY);
  const expired = await newKey({ date: past, keyExpirationTime: 86_400 });
  const signature = await sign(expired, SUMS, new Date(past.getTime() + 1000));
  expect(await outcome(verifyDetached(SUMS, signature, await ringOf(expired)))).toStartWith(INVALID);
});

test.skipIf(!havePrograms("a signature over a weak hash", "gpg"))(
  "a signature with a weak hash is not accepted",
  async () => {
    const home = mkdtempSync(join(scratch, "gpg-"));
    const gpg = (args: string[], input = "") =>
      Bun.spawnSync(
        ["gpg", "--homedir", home, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback", ...args],
        {
          stdin: Buffer.from(input),
          stderr: "ignore",
        },
      ).stdout;
    gpg(["--quick-generate-key", "weak@example.com", "rsa2048", "sign"]);
    const ring = await readKeyring([Buffer.from(gpg(["--export"]))]);
    const signed = (hashName: string) =>
      Buffer.from(gpg(["--allow-weak-digest-algos", "--digest-algo", hashName, "--detach-sign"], SUMS.toString()));
    expect(await outcome(verifyDetached(SUMS, signed("SHA512"), ring))).toBe("good");
    for (const weak of ["SHA1", "MD5"])
      expect(await outcome(verifyDetached(SUMS, signed(weak), ring))).toStartWith(INVALID);
    Bun.spawnSync(["gpgconf", "--homedir", home, "--kill", "all"]);
  },
);

test("I84: only the signed part of a clear-signed text is used", async () => {
  const key = await newKey();
  const message = await openpgp.createCleartextMessage({ text: SUMS.toString() });
  const signed = Buffer.from(await openpgp.sign({ message, signingKeys: key }));
  const ring = await ringOf(key);
  expect(isClearSigned(signed)).toBe(true);
  const evil = `${createHash("sha256").update("evil").digest("hex")}  image.raw\n`;
  for (const forged of [
    signed,
    Buffer.concat([Buffer.from(evil), signed]),
    Buffer.concat([signed, Buffer.from(evil)]),
  ]) {
    const text = await verifyClearSigned(forged, ring).catch(() => Buffer.alloc(0));
    expect(text.toString()).not.toContain(evil.slice(0, 64));
  }
  expect(listsChecksum(await verifyClearSigned(signed, ring), { name: "image.raw", sha256: hash })).toBe(true);
  const changed = Buffer.from(signed.toString().replace(hash, evil.slice(0, 64)));
  expect(await outcome(verifyClearSigned(changed, ring))).toStartWith(INVALID);
  expect(await outcome(verifyClearSigned(signed, await ringOf(await newKey())))).toStartWith(INVALID);
});

test("I76, I86: the checksum of a file is found by its name, in lists in text and in binary form", () => {
  const file = { name: "a b.raw", sha256: hash };
  for (const line of [`${hash}  a b.raw\n`, `${hash} *a b.raw\n`, `${hash} a b.raw\n`, `x\n${hash}  a b.raw`]) {
    expect(listsChecksum(Buffer.from(line), file)).toBe(true);
  }
  const others = [
    `${hash}  a b.raw.gz\n`,
    `x${hash}  a b.raw\n`,
    `${hash}\ta b.raw\n`,
    `${hash}  ./a b.raw\n`,
    `${hash.toUpperCase()}  a b.raw\n`,
    "",
  ];
  for (const line of others) expect(listsChecksum(Buffer.from(line), file)).toBe(false);
});

test("I79, I80: verify=signature needs a signature, verify=checksum only a list of checksums, verify=no neither", async () => {
  const key = await newKey();
  const ring = () => ringOf(key);
  const files = [{ name: "image.raw", sha256: hash }];
  const verifyFiles = async (mode: VerifyMode, list: SumsFile | null, wanted: typeof files, keys: typeof ring) =>
    requireListed(await trustedText(mode, list, keys), wanted);
  const sums = { name: "SHA256SUMS", content: SUMS, signature: null };
  const signature = { name: "SHA256SUMS.gpg", content: await sign(key, SUMS) };
  expect(await outcome(verifyFiles("no", null, files, ring))).toBe("good");
  expect(await outcome(verifyFiles("checksum", sums, files, ring))).toBe("good");
  expect(await outcome(verifyFiles("checksum", null, files, ring))).toContain("Failed to retrieve SHA256 checksum");
  expect(await outcome(verifyFiles("signature", sums, files, ring))).toContain("Failed to retrieve signature file");
  expect(await outcome(verifyFiles("signature", { ...sums, signature }, files, ring))).toBe("good");
  expect(await outcome(verifyFiles("signature", { ...sums, signature }, files, async () => []))).toStartWith(INVALID);
  const other = [{ name: "image.raw", sha256: "0".repeat(64) }];
  expect(await outcome(verifyFiles("signature", { ...sums, signature }, other, ring))).toContain("did not check out");
});

test("I75, I81: lists and signatures are requested in a fixed order", async () => {
  const run = async (present: Record<string, string>, mode: "checksum" | "signature") => {
    const asked: string[] = [];
    const found = await fetchSums("http://x/dir/f.raw?q=1", mode, async (url) => {
      const name = url.slice("http://x/dir/".length);
      asked.push(name);
      return present[name] === undefined ? null : Buffer.from(present[name]);
    });
    return { asked, found: found === null ? null : [found.name, found.signature?.name ?? null] };
  };
  expect(await run({}, "checksum")).toEqual({ asked: ["f.raw.sha256", "SHA256SUMS"], found: null });
  expect((await run({ "f.raw.sha256": "x" }, "checksum")).found).toEqual(["f.raw.sha256", null]);
  expect(await run({ "f.raw.sha256": "x", "f.raw.sha256.gpg": "s" }, "signature")).toEqual({
    asked: ["f.raw.sha256", "f.raw.sha256.asc", "f.raw.sha256.gpg"],
    found: ["f.raw.sha256", "f.raw.sha256.gpg"],
  });
  const mixed = await run({ "f.raw.sha256": "x", SHA256SUMS: "y", "SHA256SUMS.asc": "s" }, "signature");
  expect(mixed.found).toEqual(["SHA256SUMS", "SHA256SUMS.asc"]);
  expect(mixed.asked.slice(-2)).toEqual(["SHA256SUMS.gpg", "SHA256SUMS.asc"]);
});

test("I83: a keyring in the environment has an absolute path, and is the only one that is used", async () => {
  const path = join(scratch, "ring.pgp");
  writeFileSync(path, (await newKey()).toPublic().write() as Uint8Array);
  expect((await keyringFiles({ SYSTEMD_OPENPGP_KEYRING: path })).length).toBe(1);
  for (const bad of ["ring.pgp", "/a/../b", "/a//b"]) {
    await expect(keyringFiles({ SYSTEMD_OPENPGP_KEYRING: bad })).rejects.toThrow("not absolute and normalized");
  }
  await expect(keyringFiles({ SYSTEMD_OPENPGP_KEYRING: "/nonexistent" })).rejects.toThrow("No keyring at");
});

test("I82: the administrator's keyring and the vendor's are both used, the newer file name of each before the older one", async () => {
  const host = join(scratch, "host");
  const put = async (path: string) => {
    const key = await newKey();
    mkdirSync(dirname(join(host, path)), { recursive: true });
    writeFileSync(join(host, path), key.toPublic().write() as Uint8Array);
    return key;
  };
  const vendor = await put("usr/lib/systemd/import-pubring.gpg");
  const found = async (key: openpgp.PrivateKey) =>
    outcome(verifyDetached(SUMS, await sign(key, SUMS), await readKeyring(await keyringFiles({}, host))));
  expect(await found(vendor)).toBe("good");
  const legacy = await put("etc/systemd/import-pubring.gpg");
  expect([await found(vendor), await found(legacy)]).toEqual(["good", "good"]);
  const admin = await put("etc/systemd/import-pubring.pgp");
  expect([await found(vendor), await found(admin)]).toEqual(["good", "good"]);
  expect(await found(legacy)).toContain(INVALID);
  await expect(keyringFiles({}, join(scratch, "empty"))).rejects.toThrow("There is no keyring");
});

test("the keys of a keyring with unknown packets are read", async () => {
  const key = await newKey();
  const unknown = Buffer.from([0xc0 | 60, 3, 1, 2, 3]);
  const ring = await readKeyring([Buffer.concat([Buffer.from(key.toPublic().write() as Uint8Array), unknown])]);
  expect(ring.length).toBe(1);
  expect(await outcome(verifyDetached(SUMS, await sign(key, SUMS), ring))).toBe("good");
});

test("the keys of a ring of several armoured blocks are read", async () => {
  const [one, two] = [await newKey(), await newKey()];
  const ring = await readKeyring([Buffer.from(`${one.toPublic().armor()}\n${two.toPublic().armor()}`)]);
  expect(await outcome(verifyDetached(SUMS, await sign(two, SUMS), ring))).toBe("good");
});

test("a key that is revoked in one ring is not accepted, although another ring has an older copy of it", async () => {
  const key = await newKey({ subkeys: [{ sign: true }] });
  const { publicKey: revoked } = await openpgp.revokeKey({ key, format: "object" });
  const [old, newer] = [key.toPublic(), revoked].map((one) => Buffer.from(one.write() as Uint8Array)) as [
    Buffer,
    Buffer,
  ];
  const signature = await sign(key, SUMS);
  expect(await outcome(verifyDetached(SUMS, signature, await readKeyring([old, old])))).toBe("good");
  for (const rings of [[old, newer], [newer, old], [Buffer.concat([old, newer])]])
    expect(await outcome(verifyDetached(SUMS, signature, await readKeyring(rings)))).toStartWith(INVALID);
});
