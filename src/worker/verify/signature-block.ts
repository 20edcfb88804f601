// Keys that are included in a signature (`gpg --include-key-block`, sub-packet 38 of LibrePGP). Anybody can make such a
// signature, so that its keys are not trusted by themselves: a sub-key is used only where its primary key is in the
// keyring and has certified it. Expiry and revocation are checked later, as for every other key.
import { log } from "../program/log.ts";
import type { Key, Keyring, OpenPgp } from "./keyring.ts";

const KEY_BLOCK = 38;
const BLOCK_LIMIT_BYTES = 256 << 10;
/** How many signatures of a text may contain keys. */
const BLOCKS_LIMIT = 16;

/** The fields of a signature packet that the library's types lack. */
interface SignaturePacket {
  readonly issuerKeyID: import("openpgp").KeyID;
  readonly unknownSubpackets?: readonly { readonly type: number; readonly body: Uint8Array }[];
}

/** The sub-packet begins with a reserved byte. */
function blockOf({ unknownSubpackets = [] }: SignaturePacket): Uint8Array | null {
  const body = unknownSubpackets.find(({ type }) => type === KEY_BLOCK)?.body;
  return body !== undefined && body[0] === 0 && body.length <= BLOCK_LIMIT_BYTES ? body.subarray(1) : null;
}

/** The signature packets of a text that contains its signatures, which the library's types lack as well. */
export function packetsOf(message: import("openpgp").CleartextMessage): Iterable<unknown> {
  return (message as unknown as { readonly signature: { readonly packets: Iterable<unknown> } }).signature.packets;
}

/** Returns the ring, with those sub-keys of its keys that made the signatures and are included in them. */
export async function withKeyBlocks(pgp: OpenPgp, packets: Iterable<unknown>, keyring: Keyring): Promise<Keyring> {
  let ring = keyring;
  const withBlocks = [...(packets as Iterable<SignaturePacket>)].filter((packet) => blockOf(packet) !== null);
  for (const packet of withBlocks.slice(0, BLOCKS_LIMIT)) {
    const block = blockOf(packet);
    if (block !== null) ring = await merged(pgp, block, packet, ring);
  }
  return ring;
}

async function merged(
  pgp: OpenPgp,
  block: Uint8Array,
  { issuerKeyID }: SignaturePacket,
  ring: Keyring,
): Promise<Keyring> {
  try {
    const brought = await pgp.readKeys({ binaryKeys: block });
    return await Promise.all(ring.map((key) => withSubkey(key, brought, issuerKeyID)));
  } catch (error) {
    log("debug", `Key block of a signature is not used: ${error instanceof Error ? error.message : String(error)}`);
    return ring;
  }
}

async function withSubkey(key: Key, brought: readonly Key[], wanted: import("openpgp").KeyID): Promise<Key> {
  const source = brought.find((one) => !one.isPrivate() && one.getFingerprint() === key.getFingerprint());
  const subkeys = source?.subkeys.filter((subkey) => subkey.getKeyID().equals(wanted)) ?? [];
  if (source === undefined || subkeys.length === 0) return key;
  // Of the primary key itself only a revocation is taken: its expiry is that of the ring.
  Object.assign(source, { users: [], directSignatures: [], subkeys });
  log("debug", `Using sub-key ${wanted.toHex().toUpperCase()} that came with the signature.`);
  return key.update(source);
}
