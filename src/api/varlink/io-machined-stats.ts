// io.machined.Stats: what machines use, as counters. Not part of systemd; on the daemon's Varlink socket.
import { defineVarlinkInterface } from "../varlink-table.ts";

export const IoMachinedStats = defineVarlinkInterface({
  name: "io.machined.Stats",
  doc: "What machines use.",
  types: {},
  methods: {
    Get: {
      in: { machine: "?string", intervalUSec: "?int" },
      out: {
        machine: "string",
        class: "string",
        timestampUSec: "int",
        cpuUSec: "?int",
        memoryBytes: "?int",
        memoryLimitBytes: "?int",
        swapBytes: "?int",
        tasks: "?int",
        readBytes: "?int",
        writtenBytes: "?int",
        receivedBytes: "?int",
        sentBytes: "?int",
        cpuPressure: "?float",
        memoryPressure: "?float",
        ioPressure: "?float",
        cpuPressureUSec: "?int",
        memoryPressureUSec: "?int",
        ioPressureUSec: "?int",
      },
      more: "supported",
      access: "everyone",
      doc: "Describes what one machine uses, or each of them (with the 'more' flag). Rates are the differences of two replies about a machine, divided by the difference of their timestamps.",
    },
  },
  notes: {
    fields: {
      "Get.machine": "The name of a machine; all machines unless given.",
      intervalUSec:
        "With the 'more' flag: the interval in microseconds, from one second to one day, at which all values are sent again, until the caller closes the connection or the named machine ends. A caller that does not read misses rounds.",
      class: "What the machine is: container or vm.",
      timestampUSec: "When the values were read, in microseconds of CLOCK_MONOTONIC.",
      cpuUSec: "CPU time since the machine's unit was started, in microseconds.",
      memoryBytes: "Memory in use, caches included.",
      memoryLimitBytes: "The memory limit; absent where there is none.",
      swapBytes: "Memory that is swapped out.",
      tasks: "Processes and threads.",
      readBytes: "Bytes read from block devices.",
      writtenBytes: "Bytes written to block devices.",
      receivedBytes:
        "Bytes received by the network interfaces of the machine; absent where it shares the host's network.",
      sentBytes: "Bytes sent by these interfaces.",
      cpuPressure: "The share of the last ten seconds in which some task waited for a processor, in percent.",
      memoryPressure: "The share of the last ten seconds in which some task waited for memory, in percent.",
      ioPressure: "The share of the last ten seconds in which some task waited for input or output, in percent.",
      cpuPressureUSec: "The total time in which some task waited for a processor, in microseconds.",
      memoryPressureUSec: "The total time in which some task waited for memory, in microseconds.",
      ioPressureUSec: "The total time in which some task waited for input or output, in microseconds.",
    },
    errors: {},
  },
  errors: {},
});
