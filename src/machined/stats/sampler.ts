// Samples of the usage of all machines. A request starts a new sample where the last one is too old. It is taken in
// slices, so that a thousand machines do not block the loop; concurrent requests share it. The files of the machines
// stay open between samples while requests keep coming.
import { Turns } from "../../base/turns.ts";
import { openFilesLimit } from "../../ipc/peers.ts";
import { type CgroupMounts, cgroupMounts } from "../../kernel/cgroup/mount.ts";
import { unlessSyscallError } from "../../kernel/syscall/sys.ts";
import { monotonicUsec, realtimeUsec } from "../../kernel/syscall/time.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { Registry } from "../../registry/machine/registry.ts";
import { Meter, NOT_MEASURED, type Usage } from "../../stats/meter.ts";

/** One machine at one moment. */
export interface MachineUsage {
  readonly machine: Machine;
  /** On the monotonic clock. */
  readonly atUsec: bigint;
  readonly usage: Usage;
}

export interface Sample {
  /** When it was complete, on the realtime clock. */
  readonly realtimeUsec: bigint;
  readonly durationMs: number;
  readonly machines: readonly MachineUsage[];
}

interface SamplerOptions {
  readonly registry: Registry;
  /** How many files of machines are kept open, at most; others are opened for each sample. */
  readonly mostFiles?: number;
  /** All files are closed after this long without a request. */
  readonly keepMs?: number;
}

/** The maximum age of a sample: below a second, so that a request each second gets a new one. */
const FRESH_MS = 900;
const SLICE_MS = 4;
const KEEP_MS = 120_000;
/** The share of the process's file limit that machines may take. */
const SHARE_OF_FILES = 4;

export class Sampler implements Disposable {
  readonly #registry: Registry;
  readonly #mostFiles: number;
  readonly #keepMs: number;
  readonly #meters = new Map<Machine, Meter>();
  /** The number of files that `#meters` keep open. */
  #files = 0;
  #last: { sample: Sample; readonly atMs: number } | null = null;
  /** Machines that were registered since the last sample was begun. */
  readonly #newcomers = new Set<Machine>();
  #hasLeavers = false;
  #mounts: CgroupMounts | null = null;
  #running: Promise<Sample> | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor({ registry, mostFiles, keepMs = KEEP_MS }: SamplerOptions) {
    this.#registry = registry;
    this.#mostFiles = mostFiles ?? Math.floor(openFilesLimit() / SHARE_OF_FILES);
    this.#keepMs = keepMs;
  }

  /** Returns the last sample where it is fresh, else a new one; in either case of the present machines. */
  sample(): Sample | Promise<Sample> {
    this.#keep();
    if (this.#last !== null && performance.now() - this.#last.atMs < FRESH_MS) {
      this.#last.sample = this.#updated(this.#last.sample);
      return this.#last.sample;
    }
    this.#running ??= this.#take().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Returns the present usage of one machine; null when it has ended. */
  measure(machine: Machine): MachineUsage | null {
    this.#keep();
    const usage = this.#read(machine);
    return usage === null ? null : { machine, atUsec: monotonicUsec(), usage };
  }

  /** A machine was registered. */
  add(machine: Machine): void {
    this.#newcomers.add(machine);
  }

  /** A machine was removed: its files are closed. */
  forget(machine: Machine): void {
    this.#newcomers.delete(machine);
    this.#hasLeavers = true;
    this.#close(machine);
  }

  #close(machine: Machine): void {
    const meter = this.#meters.get(machine);
    if (meter === undefined) return;
    this.#meters.delete(machine);
    this.#files -= meter.files;
    meter[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#last = null;
    this.#newcomers.clear();
    for (const machine of this.#meters.keys()) this.#close(machine);
  }

  /** Measures the new machines only: alternating registrations and requests must not measure all machines each time. */
  #updated(sample: Sample): Sample {
    if (this.#newcomers.size === 0 && !this.#hasLeavers) return sample;
    const machines = sample.machines.filter(({ machine }) => machine.started);
    for (const machine of this.#newcomers) this.#measureInto(machines, machine);
    this.#newcomers.clear();
    this.#hasLeavers = false;
    return { ...sample, machines };
  }

  #measureInto(machines: MachineUsage[], machine: Machine): void {
    const usage = this.#read(machine);
    if (usage !== null) machines.push({ machine, atUsec: monotonicUsec(), usage });
  }

  async #take(): Promise<Sample> {
    const startMs = performance.now();
    const machines: MachineUsage[] = [];
    this.#newcomers.clear();
    const turns = new Turns(SLICE_MS);
    // A copy: machines are added and removed between two slices.
    for (const machine of Array.from(this.#registry.list())) {
      if (machine.isHost) continue;
      this.#measureInto(machines, machine);
      if (turns.isOver) await turns.pass();
    }
    const atMs = performance.now();
    const sample = this.#updated({ realtimeUsec: realtimeUsec(), durationMs: atMs - startMs, machines });
    this.#last = { sample, atMs };
    return sample;
  }

  #read(machine: Machine): Usage | null {
    const held = this.#meters.get(machine);
    if (held !== undefined) return held.read();
    // The machine was removed between two slices, and its files would never be closed.
    if (!machine.started) return null;
    // The group that its leader leaves when the scope has been started has the counters of other processes.
    if (machine.awaitsScope) return NOT_MEASURED;
    // Read once: the hierarchies are mounted when the host boots.
    this.#mounts ??= cgroupMounts();
    const meter = open(machine, this.#mounts);
    if (meter === null) return null;
    const usage = meter.read();
    if (this.#files + meter.files > this.#mostFiles) {
      meter[Symbol.dispose]();
    } else {
      this.#meters.set(machine, meter);
      this.#files += meter.files;
    }
    return usage;
  }

  #keep(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this[Symbol.dispose](), this.#keepMs);
    this.#timer.unref();
  }
}

/**
 * Opens the files of a machine; returns null where its leader has ended or no more files may be opened: its usage is
 * not measured.
 */
function open(machine: Machine, mounts: CgroupMounts): Meter | null {
  const { leader, place } = machine;
  return unlessSyscallError(() => {
    const meter = new Meter(leader.pid, place?.unit ?? "", mounts);
    // The leader is alive, so that its PID was not reused while the files were opened.
    if (leader.isAlive()) return meter;
    meter[Symbol.dispose]();
    return null;
  }, null);
}
