// Who may write an image of a given name now.
import { openSync } from "node:fs";
import { ErrnoError } from "../base/error.ts";
import { Fd, statFd } from "../kernel/fd.ts";
import { trySys } from "../kernel/sys.ts";
import { rawAddress, rawOf } from "../kernel/tree.ts";
import { abandonWithUs, tryLock } from "./install-image.ts";

/** Reserves an image name against other transfers and against containers that run from it; EBUSY when it is in use. */
export class Reservation implements Disposable {
  readonly #root: Fd;
  readonly #name: string;
  readonly #file: Fd;
  readonly #registration = abandonWithUs(this);

  constructor(root: Fd, image: string) {
    this.#root = root;
    this.#name = `.#${image}.lck`;
    // The lock that nspawn and machined take on an image of this name.
    for (;;) {
      const path = `/proc/self/fd/${root.number}/${this.#name}`;
      const file = Fd.adopt(openSync(path, "a+", 0o600));
      if (!tryLock(file)) {
        file.close();
        this.#registration.settled();
        throw new ErrnoError("EBUSY", `Image '${image}' is in use, or another transfer writes it.`);
      }
      if (statFd(file).nlink > 0) {
        this.#file = file;
        return;
      }
      file.close();
    }
  }

  [Symbol.dispose](): void {
    this.#registration.settled();
    trySys("unlinkat", this.#root.number, rawAddress(rawOf(this.#name)), 0);
    this.#file.close();
  }
}
