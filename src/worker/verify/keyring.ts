// The keys that the administrator and the vendor put on the host to verify images with.
import { join } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { isNormalizedPath } from "../../base/names.ts";
import { readSettingsIfThere } from "../../kernel/file/foreign-file.ts";
import { isKeybox, keysInKeybox } from "./keybox.ts";

export type OpenPgp = typeof import("openpgp");
export type Key = import("openpgp").Key;
/** The trusted keys. No two of them have the same fingerprint. */
export type Keyring = readonly Key[];

const USER_RINGS = ["/etc/systemd/import-pubring.pgp", "/etc/systemd/import-pubring.gpg"];
const VENDOR_RINGS = ["/usr/lib/systemd/import-pubring.pgp", "/usr/lib/systemd/import-pubring.gpg"];
const RING_LIMIT = 16 << 20;

/** Loads the library, which is large, only where a signature is verified. */
export function openPgp(): Promise<OpenPgp> {
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
const ARMORED_KEYS = /-----BEGIN PGP (PUBLIC|PRIVATE) KEY BLOCK-----.*?-----END PGP \1 KEY BLOCK-----/gs;

/** Whether a file of OpenPGP is text. */
export function isArmored(file: Buffer): boolean {
  return file.subarray(0, 4096).includes(ARMOR);
}

/**
 * Reads the keys of some rings: packets, armoured or not, or a keybox, which is what gpg makes for a new ring. Unknown
 * packets are skipped. Copies of a key are merged, so that it is revoked if one of them is.
 */
export async function readKeyring(rings: readonly Buffer[]): Promise<Keyring> {
  const pgp = await openPgp();
  try {
    const keys = await Promise.all(rings.map((ring) => keysOf(pgp, ring)));
    return await merged(keys.flat());
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ErrnoError("EBADMSG", `Cannot read the keyring to verify signatures with: ${reason}`, { cause: error });
  }
}

async function keysOf(pgp: OpenPgp, ring: Buffer): Promise<Key[]> {
  const config = { ...pgp.config, ignoreUnsupportedPackets: true, ignoreMalformedPackets: true, enforceGrammar: false };
  if (isArmored(ring)) {
    // One text may have several blocks: `cat one.asc two.asc`.
    const blocks = ring.toString("latin1").match(ARMORED_KEYS) ?? [];
    return (await Promise.all(blocks.map((armoredKeys) => pgp.readKeys({ armoredKeys, config })))).flat();
  }
  const packets = isKeybox(ring) ? keysInKeybox(ring) : ring;
  return packets.length === 0 ? [] : pgp.readKeys({ binaryKeys: new Uint8Array(packets), config });
}

async function merged(keys: readonly Key[]): Promise<Key[]> {
  const byFingerprint = new Map<string, Key>();
  for (const one of keys) {
    const key = one.toPublic();
    const known = byFingerprint.get(key.getFingerprint());
    byFingerprint.set(key.getFingerprint(), known === undefined ? key : await known.update(key));
  }
  return [...byFingerprint.values()];
}
