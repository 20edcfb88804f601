// Signatures that contain the key they were made with.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as openpgp from "openpgp";
import { type Keyring, readKeyring } from "../../../../src/worker/verify/keyring.ts";
import { verifyClearSigned, verifyDetached } from "../../../../src/worker/verify/signature.ts";
import { withKeyBlocks } from "../../../../src/worker/verify/signature-block.ts";
import { havePrograms } from "../../../lib/programs.ts";

const SUMS = Buffer.from(`${"0".repeat(64)}  image.raw\n`);
const DAY = 86_400_000;
const scratch = mkdtempSync(join(tmpdir(), "signature-block-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const outcome = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return "good";
  } catch (error) {
    return (error as Error).message;
  }
};

async function newKey(options: object = {}): Promise<openpgp.PrivateKey> {
  const { privateKey } = await openpgp.generateKey({
    userIDs: [{ name: "t", email: "t@example.com" }],
    subkeys: [{ sign: true }],
    ...options,
    format: "object",
  });
  return privateKey;
}

async function signWithSubkey(key: openpgp.PrivateKey, date = new Date()): Promise<Buffer> {
  const message = await openpgp.createMessage({ binary: new Uint8Array(SUMS) });
  const signingKeyIDs = key.subkeys.map((subkey) => subkey.getKeyID());
  const signed = { message, signingKeys: key, signingKeyIDs, detached: true, format: "binary", date } as const;
  return Buffer.from((await openpgp.sign(signed)) as Uint8Array);
}

/** The keyring as it was before the sub-key was made. */
async function ringWithout(key: openpgp.Key): Promise<Keyring> {
  const publicKey = key.isPrivate() ? (key as openpgp.PrivateKey).toPublic() : key;
  publicKey.subkeys = [];
  return readKeyring([Buffer.from(publicKey.write())]);
}

/** The verdict on a signature by the key's sub-key that contains the key block `block`. */
async function verdict(key: openpgp.PrivateKey, block: Uint8Array | null, ring: Keyring, date?: Date): Promise<string> {
  const issuerKeyID = (key.subkeys[0] as openpgp.Subkey).getKeyID();
  const body = block === null ? null : Uint8Array.from([0, ...block]);
  const packet = { issuerKeyID, unknownSubpackets: body === null ? [] : [{ type: 38, body }] };
  return outcome(verifyDetached(SUMS, await signWithSubkey(key, date), await withKeyBlocks(openpgp, [packet], ring)));
}

const bytesOf = (key: openpgp.Key) => (key.isPrivate() ? (key as openpgp.PrivateKey).toPublic() : key).write();
const INVALID = expect.stringContaining("DOWNLOAD INVALID: Signature verification failed.");

test("a sub-key inside a signature is accepted if its primary key is in the keyring", async () => {
  const key = await newKey();
  const ring = await ringWithout(key);
  expect(await verdict(key, null, ring)).toEqual(INVALID);
  expect(await verdict(key, bytesOf(key), ring)).toBe("good");
  expect(ring.map(({ subkeys }) => subkeys.length)).toEqual([0]);
  expect(await verdict(key, Buffer.concat([bytesOf(await newKey()), bytesOf(key)]), ring)).toBe("good");
});

test("a primary key that is not in the keyring stays unknown, whichever key blocks the signature contains", async () => {
  const [stranger, known] = [await newKey(), await newKey()];
  expect(await verdict(stranger, bytesOf(stranger), await ringWithout(known))).toEqual(INVALID);
  expect(await verdict(stranger, Buffer.concat([bytesOf(known), bytesOf(stranger)]), await ringWithout(known))).toEqual(
    INVALID,
  );
  expect(await verdict(stranger, bytesOf(stranger), [])).toEqual(INVALID);
});

test("a sub-key without a binding signature of its primary key is not accepted", async () => {
  const [stranger, known] = [await newKey(), await newKey()];
  const ring = await ringWithout(known);
  const unbound = known.toPublic();
  unbound.subkeys = stranger.toPublic().subkeys;
  // The sub-key is bound by a primary key that is not in the keyring.
  expect(await verdict(stranger, bytesOf(unbound), ring)).toEqual(INVALID);
  // Not bound at all.
  for (const subkey of unbound.subkeys) subkey.bindingSignatures = [];
  expect(await verdict(stranger, bytesOf(unbound), ring)).toEqual(INVALID);
});

test("a sub-key that has expired or was revoked is not accepted", async () => {
  const past = new Date(Date.now() - 10 * DAY);
  const expired = await newKey({
    date: past,
    subkeys: [{ sign: true, date: past, keyExpirationTime: 86_400 } as object],
  });
  const signedThen = new Date(past.getTime() + 1000);
  const late = await verdict(expired, bytesOf(expired), await ringWithout(expired), signedThen);
  expect(late).toContain("Subkey is expired");
  const key = await newKey();
  const revoked = key.toPublic();
  const [subkey] = revoked.subkeys as [openpgp.Subkey];
  revoked.subkeys = [await subkey.revoke(key.keyPacket as openpgp.SecretKeyPacket)];
  expect(await verdict(key, bytesOf(revoked), await ringWithout(key))).toContain("Subkey is revoked");
});

test("a sub-key that is expired in the keyring is accepted if the signature contains a renewal by its primary key", async () => {
  const past = new Date(Date.now() - 10 * DAY);
  const key = await newKey({ date: past, subkeys: [{ sign: true, date: past, keyExpirationTime: 86_400 }] });
  const old = await readKeyring([Buffer.from(bytesOf(key))]);
  const { privateKey: renewed } = await openpgp.reformatKey({
    privateKey: key,
    userIDs: [{ name: "t", email: "t@example.com" }],
    format: "object",
  });
  expect(await verdict(renewed, null, old)).toEqual(INVALID);
  expect(await verdict(renewed, bytesOf(renewed), old)).toBe("good");
});

test("a sub-key that is revoked in the keyring stays revoked, whatever the signature contains", async () => {
  const key = await newKey();
  const revoked = key.toPublic();
  const [subkey] = revoked.subkeys as [openpgp.Subkey];
  revoked.subkeys = [await subkey.revoke(key.keyPacket as openpgp.SecretKeyPacket)];
  const ring = await readKeyring([Buffer.from(bytesOf(revoked))]);
  expect(await verdict(key, bytesOf(key), ring)).toEqual(INVALID);
});

test("no sub-key of a primary key that has expired or was revoked is accepted", async () => {
  const past = new Date(Date.now() - 10 * DAY);
  const key = await newKey({ date: past, keyExpirationTime: 86_400 });
  const ring = await ringWithout(key);
  const { privateKey: renewed } = await openpgp.reformatKey({
    privateKey: key,
    userIDs: [{ name: "t", email: "t@example.com" }],
    format: "object",
  });
  expect(await verdict(renewed, bytesOf(renewed), ring)).toEqual(INVALID);
  const fresh = await newKey();
  const { publicKey: revoked } = await openpgp.revokeKey({ key: fresh, format: "object" });
  expect(await verdict(fresh, bytesOf(revoked), await ringWithout(fresh))).toEqual(INVALID);
});

test("key blocks that cannot be parsed are ignored", async () => {
  const key = await newKey();
  const ring = await ringWithout(key);
  const good = bytesOf(key);
  for (const block of [new Uint8Array(0), Buffer.from("garbage"), good.subarray(0, good.length - 5), key.write()]) {
    expect(await verdict(key, block, ring)).toEqual(INVALID);
  }
});

test.skipIf(!havePrograms("signatures that gpg makes", "gpg"))(
  "signatures by gpg --include-key-block are verified, detached and clear-signed",
  async () => {
    const home = mkdtempSync(join(scratch, "gpg-"));
    const gpg = (args: string[], input = "") => {
      const options = ["--homedir", home, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"];
      return Bun.spawnSync(["gpg", ...options, ...args], { stdin: Buffer.from(input), stderr: "ignore" }).stdout;
    };
    gpg(["--quick-generate-key", "block@example.com", "ed25519", "cert"]);
    const fingerprint = /^fpr:+([0-9A-F]+):/m.exec(gpg(["--list-keys", "--with-colons"]).toString())?.[1] ?? "";
    const ring = await readKeyring([Buffer.from(gpg(["--export"]))]);
    gpg(["--quick-add-key", fingerprint, "ed25519", "sign"]);
    const signed = (...args: string[]) => Buffer.from(gpg([...args], SUMS.toString()));
    expect(await outcome(verifyDetached(SUMS, signed("--detach-sign"), ring))).toEqual(INVALID);
    const withBlock = signed("--include-key-block", "--detach-sign");
    expect(await outcome(verifyDetached(SUMS, withBlock, ring))).toBe("good");
    expect(await outcome(verifyDetached(SUMS, signed("--include-key-block", "--armor", "--detach-sign"), ring))).toBe(
      "good",
    );
    expect(await outcome(verifyClearSigned(signed("--include-key-block", "--clear-sign"), ring))).toBe("good");
    expect(await outcome(verifyDetached(Buffer.from("other"), withBlock, ring))).toEqual(INVALID);
    expect(await outcome(verifyDetached(SUMS, withBlock, []))).toEqual(INVALID);
    Bun.spawnSync(["gpgconf", "--homedir", home, "--kill", "all"]);
  },
);
