// Mounts outside of all mount namespaces: only the holder of the descriptor can access them; closing it unmounts.
// See fsopen(2), fsconfig(2), fsmount(2).
import { Fd } from "../file/fd.ts";
import { scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const SET_FLAG = 0;
const SET_STRING = 1;
const CMD_CREATE = 6;
/** MOUNT_ATTR_RDONLY, _NOSUID, _NODEV, _NOEXEC. */
const INERT = 0x1 | 0x2 | 0x4 | 0x8;

/**
 * Mounts the device `source` with the file system `type`, read-only, nosuid, nodev and noexec; returns the mount.
 * `options` are flags (`noload`) or assignments (`rescue=all`) of the file system.
 */
export function mountDetached(type: string, source: string, options: readonly string[]): Fd {
  using context = Fd.adopt(check(trySys("fsopen", scratchString(type), FSOPEN_CLOEXEC), "fsopen", type));
  set(context, `source=${source}`);
  for (const option of ["ro", ...options]) set(context, option);
  check(trySys("fsconfig", context.number, CMD_CREATE, 0, 0, 0), "mount", source);
  return Fd.adopt(check(trySys("fsmount", context.number, FSMOUNT_CLOEXEC, INERT), "mount", source));
}

function set(context: Fd, option: string): void {
  const [key = "", value] = option.split("=", 2);
  const [command, text] = value === undefined ? [SET_FLAG, 0] : [SET_STRING, scratchString(value)];
  check(trySys("fsconfig", context.number, command, scratchString(key), text, 0), "mount", option);
}
