// The part of org.freedesktop.systemd1 that clients call (org.freedesktop.systemd1(5)). We do not
// implement it, so its rows have neither access rules nor documentation.
import { SYSTEMD1_MANAGER } from "../base/vocabulary/bus-peers.ts";
import { defineCalledInterface } from "./table.ts";

const CHANGES = { changes: "a(sss)" } as const;

export const ServiceManager = defineCalledInterface({
  name: SYSTEMD1_MANAGER,
  methods: {
    Subscribe: { in: {}, out: {} },
    Reload: { in: {}, out: {} },
    StartTransientUnit: {
      in: { name: "s", mode: "s", properties: "a(sv)", aux: "a(sa(sv))" },
      out: { job: "o" },
    },
    StopUnit: { in: { name: "s", mode: "s" }, out: { job: "o" } },
    StartUnit: { in: { name: "s", mode: "s" }, out: { job: "o" } },
    GetUnitProcesses: { in: { name: "s" }, out: { processes: "a(sus)" } },
    EnableUnitFiles: {
      in: { files: "as", runtime: "b", force: "b" },
      out: { carries_install_info: "b", ...CHANGES },
    },
    DisableUnitFiles: { in: { files: "as", runtime: "b" }, out: CHANGES },
  },
});
