// Who owns a file and who may use it: fchown(2), fchmod(2).

import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";

const KEEP = -1;

/** Gives an open file (not an O_PATH descriptor) another owner and group; `"keep"` leaves one as it is. */
export function changeOwner(file: Fd, uid: number | "keep", gid: number | "keep"): void {
  const number = (id: number | "keep") => (id === "keep" ? KEEP : id);
  check(trySys("fchown", file.number, number(uid), number(gid)), "chown");
}

/** Sets the permissions of an open file (not an O_PATH descriptor). */
export function changeMode(file: Fd, mode: number): void {
  check(trySys("fchmod", file.number, mode), "chmod");
}
