// A new pseudo terminal on the devpts of a machine, which belongs to the machine's root as if that had opened it (pts(4)).

import { withIdentity } from "../kernel/namespace.ts";
import { changeOwner } from "../kernel/ownership.ts";
import { openPty, openPtyPeer, type Pty } from "../kernel/pty.ts";
import { isErrno } from "../kernel/sys.ts";
import type { Machine } from "../registry/machine.ts";
import { openRoot } from "../registry/os-release.ts";
import { rootIdentity } from "./root-identity.ts";

/** Opens it; the caller closes the master. Throws an error with errno, `EINVAL` where the machine has no root user. */
export function openPtyIn(machine: Machine): Pty {
  if (machine.isHost) return openPty(null);
  const { leader } = machine;
  using root = leader.verified(() => openRoot(machine));
  const identity = rootIdentity(machine);
  if (identity === null) return openPty(root);
  try {
    return withIdentity(identity, () => openPty(root));
  } catch (error) {
    if (!isErrno(error, "EACCES", "EPERM")) throw error;
  }
  // A multiplexer that only the privileged may open: the terminal is made by us and given to the machine's root.
  const pty = openPty(root);
  try {
    using peer = openPtyPeer(pty.master);
    changeOwner(peer, identity.uid, "keep");
    return pty;
  } catch (error) {
    pty.master.close();
    throw error;
  }
}
