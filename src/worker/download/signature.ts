// OpenPGP signatures over lists of checksums, verified with the keys that the admin and the vendor put on the host. A
// signature is valid only by a key that may sign and is neither expired nor revoked now, and over exactly the bytes
// that are used afterwards.
import { join } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { isNormalizedPath } from "../../base/names.ts";
import { readSettingsIfThere } from "../../kernel/file/foreign-file.ts";
import { log } from "../program/log.ts";
import { type Keyring, packetsOf, withKeyBlocks } from "./signature-block.ts";

export type { Keyring } from "./signature-block.ts";

type OpenPgp = typeof import("openpgp");

const USER_RINGS = ["/etc/systemd/import-pubring.pgp", "/etc/systemd/import-pubring.gpg"];
const VENDOR_RINGS = ["/usr/lib/systemd/import-pubring.pgp", "/usr/lib/systemd/import-pubring.gpg"];
const RING_LIMIT = 16 << 20;

/** Loads the library, which is large, only where a signature is verified. */
function openPgp(): Promise<OpenPgp> {
  return import("openpgp");
}

function readIfThere(path: string): Promise<Buffer | null> {
  return readSettingsIfThere(path, RING_LIMIT);
}

/** Returns the rings in use: the first existing one of the admin's and of the vendor's, or the given one. */
export async function keyringFiles(
  environment: Readonly<Record<string, string | undefined>> = process.env,
  hostRoot = "/",
): Promise<Buffer[]> {
  const given = environment["SYSTEMD_OPENPGP_KEYRING"];
  if (given !== undefined && given !== "") {
    if (!isNormalizedPath(given))
      throw new ErrnoError("EINVAL", `Keyring path '${given}' is not absolute and normalized.`);
    const ring = await readIfThere(given);
    if (ring === null) throw new ErrnoError("ENOENT", `No keyring at '${given}'.`);
    return [ring];
  }
  const first = async (paths: readonly string[]) => {
    for (const path of paths) {
      const ring = await readIfThere(join(hostRoot, path));
      if (ring !== null) return [ring];
    }
    return [];
  };
  const rings = [...(await first(USER_RINGS)), ...(await first(VENDOR_RINGS))];
  if (rings.length === 0) throw new ErrnoError("ENOENT", "There is no keyring to verify signatures of images with.");
  return rings;
}

const ARMOR = "-----BEGIN PGP";

/** Reads the keys of some rings, armoured or not. Unknown packets are skipped. */
export async function readKeyring(rings: readonly Buffer[]): Promise<Keyring> {
  const pgp = await openPgp();
  const config = { ...pgp.config, ignoreUnsupportedPackets: true, ignoreMalformedPackets: true, enforceGrammar: false };
  const keys = await Promise.all(
    rings.map((ring) => {
      const isArmored = ring.subarray(0, 4096).includes(ARMOR);
      return isArmored
        ? pgp.readKeys({ armoredKeys: ring.toString("latin1"), config })
        : pgp.readKeys({ binaryKeys: new Uint8Array(ring), config });
    }),
  );
  return keys.flat();
}

function refuse(cause?: unknown): ErrnoError {
  const reason = cause instanceof Error ? ` ${cause.message}.` : "";
  return new ErrnoError("EBADMSG", `DOWNLOAD INVALID: Signature verification failed.${reason}`, { cause });
}

/** Throws unless `signature` has a valid signature over `content`. One of several is enough. */
export async function verifyDetached(content: Buffer, signature: Buffer, keyring: Keyring): Promise<void> {
  const pgp = await openPgp();
  try {
    const isArmored = signature.subarray(0, 4096).includes(ARMOR);
    const parsed = isArmored
      ? await pgp.readSignature({ armoredSignature: signature.toString("latin1") })
      : await pgp.readSignature({ binarySignature: new Uint8Array(signature) });
    const message = await pgp.createMessage({ binary: new Uint8Array(content) });
    const ring = await withKeyBlocks(pgp, parsed.packets, keyring);
    const result = await pgp.verify({ message, signature: parsed, verificationKeys: [...ring], format: "binary" });
    await requireGood(result.signatures, ring);
  } catch (error) {
    throw error instanceof ErrnoError ? error : refuse(error);
  }
}

interface Verification {
  readonly keyID: import("openpgp").KeyID;
  readonly verified: Promise<boolean>;
}

async function requireGood(signatures: readonly Verification[], keyring: Keyring): Promise<void> {
  let reason: unknown = new Error("There is no signature");
  for (const { keyID, verified } of signatures) {
    try {
      await verified;
      await requireValidNow(keyID, keyring);
      log("info", `Good signature by key ${keyID.toHex().toUpperCase()}.`);
      return;
    } catch (error) {
      reason = error;
    }
  }
  throw refuse(reason);
}

/**
 * The library checks whether the key was valid when it signed. The owner of an expired or revoked key can make
 * signatures with any date: so the key must be valid today.
 */
async function requireValidNow(keyID: Verification["keyID"], keyring: Keyring): Promise<void> {
  const owner = keyring.find((key) => key.getKeys(keyID).length > 0);
  await owner?.getSigningKey(keyID, new Date());
}

const CLEAR_SIGNED = "-----BEGIN PGP SIGNED MESSAGE-----";

/** Whether a text contains its own signature. */
export function isClearSigned(content: Buffer): boolean {
  return (
    content.subarray(0, CLEAR_SIGNED.length).toString("latin1") === CLEAR_SIGNED ||
    content.includes(`\n${CLEAR_SIGNED}`)
  );
}

/**
 * Returns the signed part of a text that contains its own signature; without a keyring the signature is not verified.
 */
export async function verifyClearSigned(content: Buffer, keyring: Keyring | null): Promise<Buffer> {
  const pgp = await openPgp();
  try {
    const start = content.indexOf(CLEAR_SIGNED);
    const message = await pgp.readCleartextMessage({ cleartextMessage: content.subarray(start).toString("utf8") });
    if (keyring !== null) {
      const ring = await withKeyBlocks(pgp, packetsOf(message), keyring);
      const result = await pgp.verify({ message, verificationKeys: [...ring] });
      await requireGood(result.signatures, ring);
    }
    return Buffer.from(message.getText());
  } catch (error) {
    throw error instanceof ErrnoError ? error : refuse(error);
  }
}
