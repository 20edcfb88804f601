// The resource usage of a control group: CPU time, memory, tasks, input and output, and pressure (how long tasks
// waited). See "Controller interface files" in the kernel's cgroup-v2.rst, cgroup-v1/*.rst, and accounting/psi.rst.
import { type Fd, openUnless } from "../file/fd.ts";
import { readProcess } from "../process/process-file.ts";
import { pinForever } from "../syscall/mem.ts";
import { trySys } from "../syscall/sys.ts";
import { type CgroupMounts, cgroupMounts } from "./mount.ts";

/** Values that the kernel does not account for this group (controller not enabled) are null. */
export interface CgroupUsage {
  /** CPU time since the group was made, in microseconds. */
  readonly cpuUsec: number | null;
  readonly memoryBytes: number | null;
  /** Null also where there is no limit. */
  readonly memoryLimitBytes: number | null;
  readonly swapBytes: number | null;
  readonly tasks: number | null;
  readonly readBytes: number | null;
  readonly writtenBytes: number | null;
  /** Share of the last ten seconds in which some task waited, in percent. */
  readonly cpuPressure: number | null;
  readonly memoryPressure: number | null;
  readonly ioPressure: number | null;
  /** Time in which some task waited, since the group was made, in microseconds. */
  readonly cpuPressureUsec: number | null;
  readonly memoryPressureUsec: number | null;
  readonly ioPressureUsec: number | null;
}

type Field = keyof CgroupUsage;

/** A file of a group, with the parsers of its fields. */
interface Source {
  readonly file: string;
  /** The version 1 controller whose hierarchy has the file; absent for version 2. */
  readonly controller?: string;
  readonly fields: Partial<Record<Field, (text: string) => number | null>>;
}

function number(text: string): number | null {
  const value = Number.parseInt(text, 10);
  return Number.isFinite(value) ? value : null;
}

/** In version 1, a group without a limit reports nearly 2^63. */
function limit(text: string): number | null {
  const value = number(text);
  return value === null || value > 2 ** 62 ? null : value;
}

/** Returns a parser for the number in a line `key NUMBER`. */
function keyed(key: string): (text: string) => number | null {
  const pattern = new RegExp(`^${key} (\\d+)$`, "m");
  return (text) => number(pattern.exec(text)?.[1] ?? "");
}

/** Returns a parser for the sum of all numbers that a pattern captures: one for each device. */
function summed(pattern: RegExp): (text: string) => number {
  return (text) => {
    let sum = 0;
    for (const [, value] of text.matchAll(pattern)) sum += Number(value);
    return sum;
  };
}

function pressure(text: string): number | null {
  const value = Number(/^some avg10=([\d.]+)/m.exec(text)?.[1] ?? Number.NaN);
  return Number.isFinite(value) ? value : null;
}

function waited(text: string): number | null {
  return number(/^some .*\btotal=(\d+)/m.exec(text)?.[1] ?? "");
}

const UNIFIED: readonly Source[] = [
  { file: "cpu.stat", fields: { cpuUsec: keyed("usage_usec") } },
  { file: "memory.current", fields: { memoryBytes: number } },
  { file: "memory.max", fields: { memoryLimitBytes: number } },
  { file: "memory.swap.current", fields: { swapBytes: number } },
  { file: "pids.current", fields: { tasks: number } },
  { file: "io.stat", fields: { readBytes: summed(/\brbytes=(\d+)/g), writtenBytes: summed(/\bwbytes=(\d+)/g) } },
  { file: "cpu.pressure", fields: { cpuPressure: pressure, cpuPressureUsec: waited } },
  { file: "memory.pressure", fields: { memoryPressure: pressure, memoryPressureUsec: waited } },
  { file: "io.pressure", fields: { ioPressure: pressure, ioPressureUsec: waited } },
];

const LEGACY: readonly Source[] = [
  {
    controller: "cpuacct",
    file: "cpuacct.usage",
    fields: { cpuUsec: (text) => Math.round((number(text) ?? 0) / 1000) },
  },
  { controller: "memory", file: "memory.usage_in_bytes", fields: { memoryBytes: number } },
  { controller: "memory", file: "memory.limit_in_bytes", fields: { memoryLimitBytes: limit } },
  { controller: "pids", file: "pids.current", fields: { tasks: number } },
  {
    controller: "blkio",
    file: "blkio.throttle.io_service_bytes",
    fields: { readBytes: summed(/ Read (\d+)$/gm), writtenBytes: summed(/ Write (\d+)$/gm) },
  },
];

/** The usage of a group of which nothing is known. */
export const UNKNOWN_USAGE: CgroupUsage = {
  cpuUsec: null,
  memoryBytes: null,
  memoryLimitBytes: null,
  swapBytes: null,
  tasks: null,
  readBytes: null,
  writtenBytes: null,
  cpuPressure: null,
  memoryPressure: null,
  ioPressure: null,
  cpuPressureUsec: null,
  memoryPressureUsec: null,
  ioPressureUsec: null,
};

const BUFFER_BYTES = 64 << 10;
const buffer = pinForever(BUFFER_BYTES);

/**
 * Reads an open file of a group from its beginning, up to 64 KiB; returns null where that fails (the group was
 * removed). One call returns the whole file.
 */
function readAgain(file: Fd): string | null {
  const length = trySys("pread64", file.number, buffer, BUFFER_BYTES, 0);
  return length < 0 ? null : buffer.bytes.toString("latin1", 0, length);
}

/** The longest table that is read to its end: that of two thousand network interfaces. */
const TABLE_LIMIT_BYTES = 256 << 10;

/**
 * Reads an open kernel file of many lines, such as /proc/PID/net/dev, to its end: one call returns a page of it.
 * Returns null where that fails, and for a file that is too long.
 */
export function readTableAgain(file: Fd): string | null {
  let text = "";
  for (;;) {
    const length = trySys("pread64", file.number, buffer, BUFFER_BYTES, text.length);
    if (length < 0 || text.length + length > TABLE_LIMIT_BYTES) return null;
    if (length === 0) return text;
    text += buffer.bytes.toString("latin1", 0, length);
  }
}

/** Returns the path of a process's group by controller; the key of version 2 is "". */
function groupsOf(pid: number): Map<string, string> {
  const groups = new Map<string, string>();
  for (const line of readProcess(pid, "cgroup").toString().split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/s.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    for (const controller of controllers.split(",")) groups.set(controller, path);
  }
  return groups;
}

/** Errors of opening a file of a group that say that the kernel does not count this for the group. */
const NOT_COUNTED = ["ENOENT", "EACCES", "EOPNOTSUPP", "ENOTDIR", "ENODEV"];

type Parsers = readonly (readonly [Field, (text: string) => number | null])[];

/** An open file, with the parsers of its fields. */
interface OpenSource {
  readonly file: Fd;
  readonly parsers: Parsers;
}

const SOURCES = [...UNIFIED, ...LEGACY].map(({ file, controller = "", fields }) => ({
  file,
  controller,
  // Object.entries() does not know the names of the keys, which are Field's.
  parsers: Object.entries(fields) as unknown as Parsers,
}));

/** Measures one group. Its files stay open, because opening them costs more than reading them. */
export class CgroupMeter implements Disposable {
  readonly #files: OpenSource[] = [];

  /**
   * Opens the files of the group of `pid` in each hierarchy, or of the group that `above` returns for its path and the
   * controller ("" for version 2); null omits the hierarchy. Files that do not exist are omitted. Throws `ESRCH` where
   * there is no such process, and errors of opening, such as `EMFILE`.
   */
  constructor(
    pid: number,
    above: (path: string, controller: string) => string | null = (path) => path,
    mounts: CgroupMounts = cgroupMounts(),
  ) {
    const groups = groupsOf(pid);
    const folders = new Map<string, Fd | null>();
    const folderOf = (controller: string): Fd | null => {
      const [group, mount] = [groups.get(controller), mounts.get(controller)];
      const wanted = group === undefined || mount === undefined ? null : above(group, controller);
      return wanted === null ? null : openUnless(NOT_COUNTED, null, mount + wanted, "path");
    };
    try {
      const known = new Set<Field>();
      for (const { file: name, controller, parsers } of SOURCES) {
        if (parsers.every(([field]) => known.has(field))) continue;
        if (!folders.has(controller)) folders.set(controller, folderOf(controller));
        const folder = folders.get(controller) ?? null;
        const file = folder === null ? null : openUnless(NOT_COUNTED, folder, name, "read");
        if (file === null) continue;
        this.#files.push({ file, parsers });
        for (const [field] of parsers) known.add(field);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    } finally {
      for (const folder of folders.values()) folder?.close();
    }
  }

  /** The number of files that are open. */
  get files(): number {
    return this.#files.length;
  }

  /** Returns the present usage of the group. */
  read(): CgroupUsage {
    const usage: Record<string, number | null> = { ...UNKNOWN_USAGE };
    for (const { file, parsers } of this.#files) {
      const text = readAgain(file);
      if (text === null) continue;
      for (const [field, parse] of parsers) usage[field] = parse(text);
    }
    // Every key is one of CgroupUsage's, by the type of `Source`.
    return usage as unknown as CgroupUsage;
  }

  [Symbol.dispose](): void {
    for (const { file } of this.#files) file.close();
  }
}
