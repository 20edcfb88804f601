// Who owns a file: fchown(2).

import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";

const KEEP = -1;

/** Gives an open file (not an O_PATH descriptor) another owner and group; `"keep"` leaves one as it is. */
export function changeOwner(file: Fd, uid: number | "keep", gid: number | "keep"): void {
  const number = (id: number | "keep") => (id === "keep" ? KEEP : id);
  check(trySys("fchown", file.number, number(uid), number(gid)), "chown");
}
