// Changes owner and permissions of open files: fchown(2), fchmod(2).
import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";

const KEEP = -1;

/** Changes owner and group of an open file (not O_PATH); `"keep"` leaves one unchanged. */
export function changeOwner(file: Fd, uid: number | "keep", gid: number | "keep"): void {
  const number = (id: number | "keep") => (id === "keep" ? KEEP : id);
  check(trySys("fchown", file.number, number(uid), number(gid)), "chown");
}

/** Sets the permissions of an open file (not O_PATH). */
export function changeMode(file: Fd, mode: number): void {
  check(trySys("fchmod", file.number, mode), "chmod");
}
