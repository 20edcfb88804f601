// The part of org.freedesktop.systemd1 that clients call (org.freedesktop.systemd1(5)). We do not
// implement it, so its rows have neither access rules nor documentation.
import type { CalledInterface } from "./table.ts";

export const SYSTEMD1_NAME = "org.freedesktop.systemd1";
export const SYSTEMD1_PATH = "/org/freedesktop/systemd1";

function defineCalledInterface<const Interface extends CalledInterface>(table: Interface): Interface {
  return table;
}

const CHANGES = { changes: "a(sss)" } as const;

export const ServiceManager = defineCalledInterface({
  name: "org.freedesktop.systemd1.Manager",
  methods: {
    Subscribe: { in: {}, out: {} },
    Reload: { in: {}, out: {} },
    StartUnit: { in: { name: "s", mode: "s" }, out: { job: "o" } },
    GetUnitProcesses: { in: { name: "s" }, out: { processes: "a(sus)" } },
    EnableUnitFiles: {
      in: { files: "as", runtime: "b", force: "b" },
      out: { carries_install_info: "b", ...CHANGES },
    },
    DisableUnitFiles: { in: { files: "as", runtime: "b" }, out: CHANGES },
  },
});
