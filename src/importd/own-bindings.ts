// Binds io.machined.Import, the interface of this program's own, to actions.
import { IoMachinedImport } from "../api/varlink/io-machined-import.ts";
import { type BoundVarlink, bindVarlink } from "../ipc/varlink/binding.ts";
import type { ImportDaemon } from "./daemon.ts";
import { run } from "./varlink-bindings.ts";

/** Binds io.machined.Import to the daemon. */
export function ownVarlink(daemon: ImportDaemon): BoundVarlink {
  return bindVarlink(IoMachinedImport, {
    PushOci: (call, { local, remote, class: imageClass = "machine", base, format, login }) =>
      run(
        daemon,
        call,
        {
          type: "push-oci",
          local,
          remote,
          class: imageClass,
          ...(base === undefined ? {} : { base }),
          ...(format === undefined ? {} : { format }),
          ...(login === undefined ? {} : { login }),
        },
        { remote, local, base: base ?? "", class: imageClass, type: "push-oci" },
      ),
  });
}
