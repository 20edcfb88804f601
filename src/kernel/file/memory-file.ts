// Files in memory: memfd_create(2), with seals that make their content immutable (F_ADD_SEALS in fcntl(2)).
import { EINVAL, F_ADD_SEALS } from "../syscall/constants.ts";
import { scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import { writeSome } from "./byte-io.ts";
import { Fd, reopen } from "./fd.ts";

const MFD_CLOEXEC = 0x1;
const MFD_ALLOW_SEALING = 0x2;
const MFD_EXEC = 0x10;
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE. */
const ALL_SEALS = 0xf;

/** Makes an empty file in memory that can be executed once it is sealed; `name` is only shown in /proc. */
function emptyFile(name: string): Fd {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  let made = trySys("memfd_create", scratchString(name), flags | MFD_EXEC);
  // Before Linux 6.3 the flag is unknown, and every such file is executable.
  if (made === EINVAL) made = trySys("memfd_create", scratchString(name), flags);
  return Fd.adopt(check(made, "memfd_create", name));
}

function seal(file: Fd, name: string): Fd {
  check(trySys("fcntl", file.number, F_ADD_SEALS, ALL_SEALS), "seal", name);
  // A file that is open for writing cannot be executed (ETXTBSY).
  return reopen(file, "read");
}

/**
 * Returns an immutable file with the content `bytes`, open for reading and executable. `name` is only shown in /proc.
 */
export function sealedFile(name: string, bytes: Uint8Array): Fd {
  using file = emptyFile(name);
  for (let at = 0; at < bytes.length; ) at += writeSome(file, bytes.subarray(at));
  return seal(file, name);
}

/** The same with the content of another file, such as one in the executable, which another thread copies. */
export async function sealedCopy(name: string, source: Bun.BunFile): Promise<Fd> {
  using file = emptyFile(name);
  await Bun.write(Bun.file(file.number), source);
  return seal(file, name);
}
