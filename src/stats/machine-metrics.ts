// The metrics of machines, one row each: name, type, meaning and source of each number (metrics.ts).
import type { Usage } from "./meter.ts";
import type { MachineMetric, MachineSource } from "./metrics.ts";

function seconds(usec: number | null): number | null {
  // The division yields the nearest number with six digits; a multiplication by 1e-6 could yield 0.30000000000000004.
  return usec === null ? null : usec / 1e6;
}

function ofMachine(
  head: Omit<MachineMetric, "labels" | "series">,
  value: (usage: Usage, machine: MachineSource) => number | null,
): MachineMetric {
  return { ...head, labels: ["machine"], series: [{ value: (machine) => value(machine.usage, machine) }] };
}

function ofResources(
  head: Omit<MachineMetric, "labels" | "series">,
  resources: Readonly<Record<string, (usage: Usage) => number | null>>,
): MachineMetric {
  const series = Object.entries(resources).map(([resource, value]) => ({
    labels: { resource },
    value: ({ usage }: MachineSource) => value(usage),
  }));
  return { ...head, labels: ["machine", "resource"], series };
}

/** The metrics of each machine, in the order of the page. */
export const MACHINE_METRICS: readonly MachineMetric[] = [
  {
    name: "machined_machine",
    kind: "info",
    help: "The class and the service of a machine as labels; always 1.",
    labels: ["machine", "class", "service"],
    series: [{ value: () => 1 }],
    more: (machine) => ({ class: machine.class, service: machine.service }),
  },
  ofMachine(
    {
      name: "machined_machine_start_time_seconds",
      kind: "gauge",
      unit: "seconds",
      help: "When the machine was registered, in seconds since 1970.",
    },
    (_usage, { startedSeconds }) => startedSeconds,
  ),
  ofMachine(
    {
      name: "machined_machine_cpu_seconds",
      kind: "counter",
      unit: "seconds",
      help: "CPU time that the machine's unit has used.",
    },
    ({ cpuUsec }) => seconds(cpuUsec),
  ),
  ofMachine(
    {
      name: "machined_machine_memory_bytes",
      kind: "gauge",
      unit: "bytes",
      help: "Memory in use, caches included.",
    },
    ({ memoryBytes }) => memoryBytes,
  ),
  ofMachine(
    {
      name: "machined_machine_memory_limit_bytes",
      kind: "gauge",
      unit: "bytes",
      help: "The memory limit of the machine's unit; absent where there is none.",
    },
    ({ memoryLimitBytes }) => memoryLimitBytes,
  ),
  ofMachine(
    { name: "machined_machine_swap_bytes", kind: "gauge", unit: "bytes", help: "Memory that is swapped out." },
    ({ swapBytes }) => swapBytes,
  ),
  ofMachine({ name: "machined_machine_tasks", kind: "gauge", help: "Processes and threads." }, ({ tasks }) => tasks),
  ofMachine(
    {
      name: "machined_machine_io_read_bytes",
      kind: "counter",
      unit: "bytes",
      help: "Bytes read from block devices.",
    },
    ({ readBytes }) => readBytes,
  ),
  ofMachine(
    {
      name: "machined_machine_io_written_bytes",
      kind: "counter",
      unit: "bytes",
      help: "Bytes written to block devices.",
    },
    ({ writtenBytes }) => writtenBytes,
  ),
  ofMachine(
    {
      name: "machined_machine_network_receive_bytes",
      kind: "counter",
      unit: "bytes",
      help: "Bytes received by the machine's own network interfaces; absent where it shares the host's network.",
    },
    ({ receivedBytes }) => receivedBytes,
  ),
  ofMachine(
    {
      name: "machined_machine_network_transmit_bytes",
      kind: "counter",
      unit: "bytes",
      help: "Bytes sent by the machine's own network interfaces; absent where it shares the host's network.",
    },
    ({ sentBytes }) => sentBytes,
  ),
  ofResources(
    {
      name: "machined_machine_pressure_waiting_seconds",
      kind: "counter",
      unit: "seconds",
      help: "Time in which some task of the machine waited for cpu, memory or io.",
    },
    {
      cpu: ({ cpuPressureUsec }) => seconds(cpuPressureUsec),
      memory: ({ memoryPressureUsec }) => seconds(memoryPressureUsec),
      io: ({ ioPressureUsec }) => seconds(ioPressureUsec),
    },
  ),
];
