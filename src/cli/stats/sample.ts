// What machines use, from the files of their control groups and the counters of their networks. Two samples make a rate.

import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { CgroupMeter, type CgroupUsage, readAgain } from "../../kernel/process/cgroup-usage.ts";
import { sameNamespace } from "../../kernel/process/namespace.ts";
import { upToUnit } from "../session/local-processes.ts";

/** Counters of a machine at one moment. */
interface Reading {
  readonly atUsec: number;
  readonly usage: CgroupUsage;
  readonly receivedBytes: number | null;
  readonly sentBytes: number | null;
}

/** What is shown of a machine; null where it is not known (yet). Rates are for each second. */
export interface Stats {
  readonly machine: string;
  readonly cpuPercent: number | null;
  readonly cpuUsec: number | null;
  readonly memoryBytes: number | null;
  readonly memoryLimitBytes: number | null;
  readonly swapBytes: number | null;
  readonly tasks: number | null;
  readonly readBytesPerSecond: number | null;
  readonly writtenBytesPerSecond: number | null;
  readonly receivedBytesPerSecond: number | null;
  readonly sentBytesPerSecond: number | null;
  readonly cpuPressure: number | null;
  readonly memoryPressure: number | null;
  readonly ioPressure: number | null;
}

const LOOPBACK = "lo";

/** Received and sent bytes of /proc/PID/net/dev, without those that stay in the machine. */
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

/** One machine that is measured, with its files held open. */
export class Meter implements Disposable {
  readonly machine: string;
  readonly leader: number;
  readonly #cgroup: CgroupMeter;
  readonly #network: Fd | null;
  #last: Reading | null = null;

  /** Throws an error with errno when the leader is gone. */
  constructor(machine: string, leader: number, unit: string) {
    this.machine = machine;
    this.leader = leader;
    this.#cgroup = new CgroupMeter(leader, (path) => (unit === "" ? path : upToUnit(path, unit)));
    this.#network = networkFile(leader);
  }

  /** The use since the last call; the first one has no rates. */
  read(nowUsec: number): Stats {
    const usage = this.#cgroup.read();
    const text = this.#network === null ? null : readAgain(this.#network);
    const network = text === null ? null : networkBytes(text);
    const now: Reading = {
      atUsec: nowUsec,
      usage,
      receivedBytes: network?.received ?? null,
      sentBytes: network?.sent ?? null,
    };
    const last = this.#last;
    this.#last = now;
    const seconds = last === null ? 0 : (now.atUsec - last.atUsec) / 1e6;
    const rate = (value: number | null, before: number | null | undefined) =>
      value === null || before === null || before === undefined || seconds <= 0
        ? null
        : Math.max((value - before) / seconds, 0);
    const busy = rate(usage.cpuUsec, last?.usage.cpuUsec);
    return {
      machine: this.machine,
      cpuPercent: busy === null ? null : busy / 1e4,
      cpuUsec: usage.cpuUsec,
      memoryBytes: usage.memoryBytes,
      memoryLimitBytes: usage.memoryLimitBytes,
      swapBytes: usage.swapBytes,
      tasks: usage.tasks,
      readBytesPerSecond: rate(usage.readBytes, last?.usage.readBytes),
      writtenBytesPerSecond: rate(usage.writtenBytes, last?.usage.writtenBytes),
      receivedBytesPerSecond: rate(now.receivedBytes, last?.receivedBytes),
      sentBytesPerSecond: rate(now.sentBytes, last?.sentBytes),
      cpuPressure: usage.cpuPressure,
      memoryPressure: usage.memoryPressure,
      ioPressure: usage.ioPressure,
    };
  }

  [Symbol.dispose](): void {
    this.#cgroup[Symbol.dispose]();
    this.#network?.close();
  }
}

/** Counters of a network that the machine shares with the host are not the machine's. */
function networkFile(leader: number): Fd | null {
  try {
    return sameNamespace(leader, "net") ? null : openPath(`/proc/${leader}/net/dev`, "read");
  } catch {
    return null;
  }
}
