// The built-in machine `.host`: the host itself (org.freedesktop.machine1(5)).
import { parseId } from "../../base/id128.ts";
import { hostId } from "../../daemon/host.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { bootTimeUsec, realtimeUsec } from "../../kernel/syscall/time.ts";
import { Machine, VSOCK_CID_ANY } from "../../registry/machine/machine.ts";

const VSOCK_CID_LOCAL = 1;

/** Describes the host. A host without a machine id has none here either. */
export function hostMachine(hasVsock: boolean): Machine {
  const machine = new Machine({
    name: ".host",
    id: parseId(hostId()) ?? null,
    service: "",
    class: "host",
    rootDirectory: "/",
    networkInterfaces: [],
    vsockCid: hasVsock ? VSOCK_CID_LOCAL : VSOCK_CID_ANY,
    sshAddress: "",
    sshPrivateKeyPath: "",
    controlAddress: "",
    uid: 0,
    leader: PidRef.of(1),
    supervisor: null,
  });
  machine.place = { unit: "-.slice", subgroup: "", cgroup: "/" };
  machine.startedAt = { realtimeUsec: realtimeUsec() - bootTimeUsec(), monotonicUsec: 0n };
  return machine;
}
