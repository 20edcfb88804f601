// OpenPGP signatures over lists of checksums, verified with the keys of the host's rings (keyring.ts). A signature is
// valid only by a key that may sign and is neither expired nor revoked now, and over exactly the bytes that are used
// afterwards.
import { ErrnoError } from "../../base/error.ts";
import { log } from "../program/log.ts";
import { isArmored, type Keyring, type OpenPgp, openPgp } from "./keyring.ts";
import { packetsOf, withKeyBlocks } from "./signature-block.ts";

type Signature = import("openpgp").Signature;

function refuse(cause?: unknown): ErrnoError {
  const reason = cause instanceof Error ? ` ${cause.message}.` : "";
  return new ErrnoError("EBADMSG", `DOWNLOAD INVALID: Signature verification failed.${reason}`, { cause });
}

/**
 * Throws unless `signature` has a valid signature over `content`. One of several is enough where the others cannot be
 * checked; one of a known key over other content is refused, as gpgv(1) does.
 */
export async function verifyDetached(content: Buffer, signature: Buffer, keyring: Keyring): Promise<void> {
  const pgp = await openPgp();
  try {
    const parsed = await readDetached(pgp, signature);
    const message = await pgp.createMessage({ binary: new Uint8Array(content) });
    const ring = await withKeyBlocks(pgp, parsed.packets, keyring);
    const result = await pgp.verify({ message, signature: parsed, verificationKeys: [...ring], format: "binary" });
    await requireGood(result.signatures, ring);
  } catch (error) {
    throw error instanceof ErrnoError ? error : refuse(error);
  }
}

const ARMORED_SIGNATURE = /-----BEGIN PGP SIGNATURE-----.*?-----END PGP SIGNATURE-----/gs;

/** Reads packets, or the blocks of a text: `cat one.asc two.asc`. What stands between the blocks is passed over. */
async function readDetached(pgp: OpenPgp, signature: Buffer): Promise<Signature> {
  if (!isArmored(signature)) return pgp.readSignature({ binarySignature: new Uint8Array(signature) });
  const blocks = signature.toString("latin1").match(ARMORED_SIGNATURE) ?? [];
  const parts = await Promise.all(blocks.map((armoredSignature) => pgp.readSignature({ armoredSignature })));
  const packets = new pgp.PacketList<import("openpgp").SignaturePacket>();
  for (const part of parts) packets.push(...part.packets);
  return new pgp.Signature(packets);
}

interface Verification {
  readonly keyID: import("openpgp").KeyID;
  readonly verified: Promise<boolean>;
}

async function requireGood(signatures: readonly Verification[], keyring: Keyring): Promise<void> {
  let reason: unknown = new Error("There is no signature");
  const good: string[] = [];
  for (const { keyID, verified } of signatures) {
    try {
      await verified;
      await requireValidNow(keyID, keyring);
      good.push(keyID.toHex().toUpperCase());
    } catch (error) {
      if (isOverOtherContent(error)) throw refuse(error);
      reason = error;
    }
  }
  if (good.length === 0) throw refuse(reason);
  for (const key of good) log("info", `Good signature by key ${key}.`);
}

/** Whether the library says that the signature of a known key is not one of this content. */
function isOverOtherContent(error: unknown): boolean {
  return error instanceof Error && /^(Signed digest did not match|Signature verification failed)$/.test(error.message);
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
