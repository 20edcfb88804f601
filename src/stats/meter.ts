// Measures a machine: the counters of its control groups and of its network at one moment.
import { unlessNoProcess } from "../base/absence.ts";
import { groupInUserManager, isUserManager, upToUnit } from "../kernel/cgroup/cgroup.ts";
import { type CgroupMounts, cgroupMounts } from "../kernel/cgroup/mount.ts";
import { CgroupMeter, type CgroupUsage, readTableAgain, UNKNOWN_USAGE } from "../kernel/cgroup/usage.ts";
import { type Fd, openPath } from "../kernel/file/fd.ts";
import { sameNamespace } from "../kernel/process/namespace.ts";

/** The counters of a machine. A value that the kernel does not count for this machine is null. */
export interface Usage extends CgroupUsage {
  /** Null also for a machine in the host's network, whose counters include other traffic. */
  readonly receivedBytes: number | null;
  readonly sentBytes: number | null;
}

/** The usage of a machine that cannot be measured yet. */
export const NOT_MEASURED: Usage = { ...UNKNOWN_USAGE, receivedBytes: null, sentBytes: null };

const LOOPBACK = "lo";

/** Returns the received and sent bytes in the text of /proc/PID/net/dev, without those of the loopback interface. */
export function networkBytes(text: string): { received: number; sent: number } {
  const total = { received: 0, sent: 0 };
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).trim();
    if (colon < 0 || name === LOOPBACK) continue;
    const fields = line
      .slice(colon + 1)
      .trim()
      .split(/\s+/)
      .map(Number);
    total.received += fields[0] ?? 0;
    total.sent += fields[8] ?? 0;
  }
  return total;
}

/** Measures one machine. It owns the files that it keeps open. */
export class Meter implements Disposable {
  readonly #cgroup: CgroupMeter;
  readonly #network: Fd | null;

  /** Measures the unit of `leader` ("": its own control group). Throws an error with errno when the leader is gone. */
  constructor(leader: number, unit: string, mounts: CgroupMounts = cgroupMounts()) {
    this.#cgroup = new CgroupMeter(leader, (path, controller) => groupOf(unit, path, controller), mounts);
    try {
      this.#network = networkFile(leader);
    } catch (error) {
      this.#cgroup[Symbol.dispose]();
      throw error;
    }
  }

  /** The number of files that it keeps open: up to ten, by the controllers of the host. */
  get files(): number {
    return this.#cgroup.files + (this.#network === null ? 0 : 1);
  }

  /** Returns the present counters. */
  read(): Usage {
    const text = this.#network === null ? null : readTableAgain(this.#network);
    const network = text === null ? null : networkBytes(text);
    return {
      ...this.#cgroup.read(),
      receivedBytes: network?.received ?? null,
      sentBytes: network?.sent ?? null,
    };
  }

  [Symbol.dispose](): void {
    this.#cgroup[Symbol.dispose]();
    this.#network?.close();
  }
}

/**
 * Returns the group that counts for the machine; null where its numbers would include other processes. In a hierarchy
 * of version 1 that does not account for the unit, its processes are in a group above the unit, up to that of the whole
 * host.
 */
export function groupOf(unit: string, path: string, controller: string): string | null {
  if (path === "/") return null;
  if (unit === "") return path;
  if (controller !== "" && !path.split("/").includes(unit)) return null;
  const group = upToUnit(path, unit);
  return isUserManager(unit) ? groupInUserManager(path) : group;
}

function networkFile(leader: number): Fd | null {
  return unlessNoProcess(
    () => (sameNamespace(leader, "net") ? null : openPath(`/proc/${leader}/net/dev`, "read")),
    null,
  );
}
