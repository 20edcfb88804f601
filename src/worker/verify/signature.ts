// OpenPGP signatures over lists of checksums, verified with the keys of the host's rings (keyring.ts). A signature is
// valid only by a key that may sign and is neither expired nor revoked now, and over exactly the bytes that are used
// afterwards.
import { ErrnoError } from "../../base/error.ts";
import { log } from "../program/log.ts";
import { isArmored, type Keyring, openPgp } from "./keyring.ts";
import { packetsOf, withKeyBlocks } from "./signature-block.ts";

function refuse(cause?: unknown): ErrnoError {
  const reason = cause instanceof Error ? ` ${cause.message}.` : "";
  return new ErrnoError("EBADMSG", `DOWNLOAD INVALID: Signature verification failed.${reason}`, { cause });
}

/** Throws unless `signature` has a valid signature over `content`. One of several is enough. */
export async function verifyDetached(content: Buffer, signature: Buffer, keyring: Keyring): Promise<void> {
  const pgp = await openPgp();
  try {
    const parsed = isArmored(signature)
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
