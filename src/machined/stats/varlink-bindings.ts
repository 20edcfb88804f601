// Binds io.machined.Stats to the sampler: replies once, or repeatedly until the caller disconnects.
import { IoMachinedStats } from "../../api/varlink/io-machined-stats.ts";
import type { VarlinkParameters, VarlinkResult } from "../../api/varlink-table.ts";
import { invalidArgument, MachinedError } from "../../base/error.ts";
import { isMachineNameOrHost } from "../../base/names.ts";
import { plainInteger } from "../../base/text/json.ts";
import { type BoundVarlink, bindVarlink, Reply, type VarlinkCall } from "../../ipc/varlink/binding.ts";
import { noSuchMachine } from "../../registry/machine/errors.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { Daemon } from "../action/daemon.ts";
import type { MachineUsage, Sampler } from "./sampler.ts";
import type { Streams } from "./streams.ts";

type Table = typeof IoMachinedStats;
type Answer = VarlinkResult<Table, "Get">;
type Parameters = VarlinkParameters<Table, "Get">;
type Call = VarlinkCall<Answer>;

const SHORTEST_USEC = 1e6;
const LONGEST_USEC = 86_400e6;

export function statsVarlink(daemon: Daemon, sampler: Sampler, streams: Streams): BoundVarlink {
  const get = async (call: Call, { machine: name, intervalUSec }: Parameters) => {
    const machine = name === undefined ? null : machineOf(daemon, name);
    if (intervalUSec !== undefined) return stream(call, machine, Number(intervalUSec));
    if (machine !== null) return measured(machine);
    if (!call.more) throw new MachinedError("ExpectedMore", "Expected the 'more' flag");
    const answers = (await sampler.sample()).machines.map(answerOf);
    if (answers.length === 0) throw noSuchMachine();
    return { [Reply.many]: answers };
  };
  const measured = (machine: Machine): Answer => {
    const usage = daemon.registry.find(machine.name) === machine ? sampler.measure(machine) : null;
    if (usage === null) throw noSuchMachine();
    return answerOf(usage);
  };
  const stream = async (call: Call, machine: Machine | null, intervalUsec: number): Promise<never> => {
    if (!call.more) throw new MachinedError("ExpectedMore", "Expected the 'more' flag");
    if (!(intervalUsec >= SHORTEST_USEC && intervalUsec <= LONGEST_USEC)) {
      throw invalidArgument("intervalUSec", "The interval is not between a second and a day");
    }
    return streams.run(call, intervalUsec / 1000, async () => {
      const answers = machine === null ? (await sampler.sample()).machines.map(answerOf) : [measured(machine)];
      for (const answer of answers) call.emit(answer);
    });
  };
  return bindVarlink(IoMachinedStats, { Get: get });
}

function machineOf(daemon: Daemon, name: string): Machine {
  if (!isMachineNameOrHost(name)) throw invalidArgument("machine", "Invalid machine name");
  const machine = daemon.registry.find(name);
  if (machine === null) throw noSuchMachine();
  if (machine.isHost) throw new MachinedError("NotSupported", "The host is not measured as a machine");
  return machine;
}

function answerOf({ machine, atUsec, usage }: MachineUsage): Answer {
  return {
    machine: machine.name,
    class: machine.class,
    timestampUSec: plainInteger(atUsec),
    cpuUSec: usage.cpuUsec ?? undefined,
    memoryBytes: usage.memoryBytes ?? undefined,
    memoryLimitBytes: usage.memoryLimitBytes ?? undefined,
    swapBytes: usage.swapBytes ?? undefined,
    tasks: usage.tasks ?? undefined,
    readBytes: usage.readBytes ?? undefined,
    writtenBytes: usage.writtenBytes ?? undefined,
    receivedBytes: usage.receivedBytes ?? undefined,
    sentBytes: usage.sentBytes ?? undefined,
    cpuPressure: usage.cpuPressure ?? undefined,
    memoryPressure: usage.memoryPressure ?? undefined,
    ioPressure: usage.ioPressure ?? undefined,
    cpuPressureUSec: usage.cpuPressureUsec ?? undefined,
    memoryPressureUSec: usage.memoryPressureUsec ?? undefined,
    ioPressureUSec: usage.ioPressureUsec ?? undefined,
  };
}
