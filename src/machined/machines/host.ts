// The built-in machine `.host`: the host itself (org.freedesktop.machine1(5)).
import { parseId } from "../../base/id128.ts";
import { hostId } from "../../daemon/host.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { bootTimeUsec, realtimeUsec } from "../../kernel/syscall/time.ts";
import { NO_DESCRIPTION, VSOCK_CID_ANY } from "../../registry/machine/description.ts";
import { Machine } from "../../registry/machine/machine.ts";

const VSOCK_CID_LOCAL = 1;

/** Returns the machine of the host; without an id where the host has no machine id. */
export function hostMachine(hasVsock: boolean): Machine {
  const machine = new Machine({
    ...NO_DESCRIPTION,
    name: ".host",
    id: parseId(hostId() ?? "") ?? null,
    class: "host",
    rootDirectory: "/",
    vsockCid: hasVsock ? VSOCK_CID_LOCAL : VSOCK_CID_ANY,
    uid: 0,
    leader: PidRef.of(1),
    supervisor: null,
  });
  machine.place = { unit: "-.slice", subgroup: "", cgroup: "/" };
  machine.startedAt = { realtimeUsec: realtimeUsec() - bootTimeUsec(), monotonicUsec: 0n };
  return machine;
}
