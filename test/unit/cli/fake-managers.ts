// Stand-ins for the machine manager and the service manager: they answer the calls of a client and record them.
import { readlinkSync } from "node:fs";
import { errnoOfBusError } from "../../../src/base/error.ts";
import { Variant } from "../../../src/base/variant.ts";
import type { Bus, Varlink } from "../../../src/cli/session/ports.ts";
import type { BusCall } from "../../../src/ipc/bus/connection.ts";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { addressBytes, type FakeMachine, machineProperties } from "./fake-machines.ts";

const UINT64_MAX = 0xffff_ffff_ffff_ffffn;
const MACHINE_PATH = "/org/freedesktop/machine1/machine/";
const WANTS = "/etc/systemd/system/machines.target.wants";
const TEMPLATE = "/usr/lib/systemd/system/systemd-nspawn@.service";
const DENIED =
  "Access denied as the requested operation requires interactive authentication. However, interactive authentication " +
  "has not been enabled by the calling program.";

export interface Behaviour {
  readonly machines: readonly FakeMachine[];
  readonly images: readonly string[];
  /** The caller may look, but neither change anything nor see metadata. */
  readonly refuses?: boolean;
  /** Control sockets by machine. */
  readonly controls?: Readonly<Record<string, string>>;
  /** Units whose start fails, with the service's `Result`. */
  readonly failing?: Readonly<Record<string, string>>;
}

/** An error reply of the bus, of the shape the client library throws. */
export class FakeBusError extends Error {
  readonly errorName: string;
  readonly errnoName: string;

  constructor(errorName: string, message: string) {
    super(message);
    this.errorName = errorName;
    this.errnoName = errnoOfBusError(errorName);
  }
}

/** An error reply of Varlink. */
class FakeVarlinkError extends Error {
  readonly id: string;
  readonly parameters: Record<string, unknown> = {};

  constructor(id: string) {
    super(id);
    this.id = id;
  }
}

type SignalHandler = Parameters<Bus["subscribe"]>[1];

/** Both managers of a host, with the calls that they got. */
export class FakeManagers {
  readonly calls: BusCall[] = [];
  readonly varlinkCalls: { path: string; method: string; parameters: object | undefined }[] = [];
  /** The paths of the descriptors that were sent with calls. */
  readonly filesSent: string[] = [];
  readonly enabled = new Set<string>();
  readonly #behaviour: Behaviour;
  readonly #jobHandlers = new Set<SignalHandler>();
  #jobs = 0;

  constructor(behaviour: Behaviour) {
    this.#behaviour = behaviour;
  }

  /** The members that were called, in order, as `Member(signature)`. */
  get members(): string[] {
    return this.calls.map(({ member, signature }) => `${member}(${signature ?? ""})`);
  }

  bus(): Bus {
    return {
      call: async (call) => {
        this.calls.push(call);
        await Promise.resolve();
        return call.destination === "org.freedesktop.systemd1" ? this.#systemd(call) : this.#machined(call);
      },
      subscribe: async (_rule, handler) => {
        this.#jobHandlers.add(handler);
        return async () => void this.#jobHandlers.delete(handler);
      },
      onClose: () => {},
      close: () => {},
    };
  }

  varlink(path: string): Varlink {
    const managers = this;
    const note = (method: string, parameters?: object) => this.varlinkCalls.push({ path, method, parameters });
    return {
      descriptors: [],
      async call(method, parameters, options) {
        note(method, parameters);
        if (method === "io.systemd.StorageProvider.Acquire") {
          if (path.endsWith("/bad")) throw new FakeVarlinkError("io.systemd.StorageProvider.NoSuchVolume");
          this.descriptors = [openPath("/dev/null", "read")];
          return { fileDescriptorIndex: 0, type: "reg", readOnly: false };
        }
        managers.filesSent.push(
          ...(options?.descriptors ?? []).map((fd) => readlinkSync(`/proc/self/fd/${fd.number}`)),
        );
        if (method !== "io.systemd.Machine.List") return {};
        const { name } = parameters as { name: string };
        if (!/^\.host$|^[a-zA-Z0-9.-]+$/.test(name)) throw new FakeVarlinkError("org.varlink.service.InvalidParameter");
        return managers.#row(managers.#varlinkMachine(name), false);
      },
      async callAll(method, parameters) {
        note(method, parameters);
        await Promise.resolve();
        if (managers.#behaviour.refuses) throw new FakeVarlinkError("org.varlink.service.PermissionDenied");
        const rows = managers.#behaviour.machines.map((machine) => managers.#row(machine, true));
        if (rows.length === 0) throw new FakeVarlinkError("io.systemd.Machine.NoSuchMachine");
        return rows;
      },
      // biome-ignore lint/correctness/useYield: it fails before it has any
      async *callMore(method, parameters) {
        note(method, parameters);
        throw new FakeVarlinkError("org.varlink.service.MethodNotFound");
      },
      close: () => {},
    };
  }

  #varlinkMachine(name: string): FakeMachine {
    const machine = this.#behaviour.machines.find((known) => known.name === name);
    if (machine === undefined) throw new FakeVarlinkError("io.systemd.Machine.NoSuchMachine");
    return machine;
  }

  #row(machine: FakeMachine, metadata: boolean): Record<string, unknown> {
    const control = this.#behaviour.controls?.[machine.name];
    const addresses = machine.addresses?.map((text) => {
      const address = addressBytes(text);
      return { ifindex: 3, family: address.length === 4 ? 2 : 10, address };
    });
    const release = Object.entries(machine.osRelease ?? {}).map(([key, value]) => `${key}=${value}`);
    return {
      name: machine.name,
      class: machine.class,
      ...(machine.service === "" ? {} : { service: machine.service }),
      rootDirectory: machine.root,
      unit: machine.unit,
      leader: { pid: machine.leader, pidfdId: Number(machine.leaderPidfdId) },
      timestamp: { realtime: Number(machine.since), monotonic: Number(machine.sinceMonotonic) },
      UID: 0,
      ...(control === undefined ? {} : { controlAddress: control }),
      ...(metadata && addresses !== undefined && addresses.length > 0 ? { addresses } : {}),
      ...(metadata && machine.osRelease !== null ? { OSRelease: release } : {}),
    };
  }

  #machine(name: unknown): FakeMachine {
    const machine = this.#behaviour.machines.find((known) => known.name === name);
    if (machine !== undefined) return machine;
    throw new FakeBusError("org.freedesktop.machine1.NoSuchMachine", `No machine '${name}' known`);
  }

  #machined({ member, path, body = [] }: BusCall): unknown[] {
    const [name] = body;
    switch (member) {
      case "ListMachines":
        return [this.#behaviour.machines.map((m) => [m.name, m.class, m.service, MACHINE_PATH + m.name])];
      case "GetMachine":
        return [MACHINE_PATH + this.#machine(name).name];
      case "GetAll":
        if (path.startsWith(MACHINE_PATH)) return [machineProperties(this.#machine(path.slice(MACHINE_PATH.length)))];
        return [poolProperties()];
      case "GetMachineOSRelease":
        return [new Map(Object.entries(this.#told(this.#machine(name).osRelease)))];
      case "GetMachineUIDShift":
        return [this.#machine(name).uidShift];
      case "GetMachineAddresses":
        return [addressRows(this.#machine(name))];
      case "GetImage":
        if (this.#behaviour.images.includes(String(name))) return ["/org/freedesktop/machine1/image/x"];
        throw new FakeBusError("org.freedesktop.machine1.NoSuchImage", `No image '${name}' known`);
      case "KillMachine":
        return this.#kill(String(name), String(body[1]));
      case "TerminateMachine":
        return this.#change(() => void this.#machine(name));
      default:
        throw new FakeBusError("org.freedesktop.DBus.Error.UnknownMethod", `Unknown method ${member}`);
    }
  }

  #told<T>(value: T | null): T {
    if (value === null || this.#behaviour.refuses) {
      throw new FakeBusError("org.freedesktop.DBus.Error.NotSupported", "Only supported on container machines.");
    }
    return value;
  }

  #kill(name: string, whom: string): unknown[] {
    return this.#change(() => {
      this.#machine(name);
      if (!["leader", "all", "supervisor"].includes(whom)) {
        throw new FakeBusError("org.freedesktop.DBus.Error.InvalidArgs", `Invalid kill parameter '${whom}'`);
      }
      if (name === ".host")
        throw new FakeBusError("org.freedesktop.DBus.Error.NotSupported", "Operation not supported");
    });
  }

  #change(act: () => void): unknown[] {
    if (this.#behaviour.refuses) {
      throw new FakeBusError("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", DENIED);
    }
    act();
    return [];
  }

  #systemd({ member, path, body = [] }: BusCall): unknown[] {
    switch (member) {
      case "Get":
        return [this.#unitProperty(path, String(body[1]))];
      case "GetUnitProcesses": {
        const machine = this.#behaviour.machines.find(({ unit }) => unit === body[0]);
        return [machine?.processes.map((row) => [...row]) ?? []];
      }
      case "StartUnit":
        this.#change(() => {});
        return [this.#startJob(String(body[0]))];
      case "EnableUnitFiles":
        this.#change(() => {});
        return [true, this.#enable(body[0] as string[])];
      case "DisableUnitFiles":
        return [this.#disable(body[0] as string[])];
      case "Reload":
        return [];
      default:
        throw new FakeBusError("org.freedesktop.DBus.Error.UnknownMethod", `Unknown method ${member}`);
    }
  }

  #unitProperty(path: string, property: string): Variant {
    const decoded = path
      .split("/")
      .at(-1)
      ?.replace(/_([0-9a-f]{2})/g, (_, hex) => String.fromCharCode(Number(`0x${hex}`)));
    if (property === "Result") return new Variant("s", this.#behaviour.failing?.[decoded ?? ""] ?? "success");
    return new Variant("s", this.#behaviour.machines.find(({ unit }) => unit === decoded)?.cgroup ?? "");
  }

  /** The job is finished before the reply arrives, as for services that run already. */
  #startJob(unit: string): string {
    const job = `/org/freedesktop/systemd1/job/${++this.#jobs}`;
    const result = this.#behaviour.failing?.[unit] === undefined ? "done" : "failed";
    for (const handler of this.#jobHandlers) {
      handler([this.#jobs, job, unit, result], { path: "", sender: "", member: "JobRemoved" });
    }
    return job;
  }

  #enable(units: readonly string[]): string[][] {
    const added = units.filter((unit) => unit !== "machines.target" && !this.enabled.has(unit));
    for (const unit of added) this.enabled.add(unit);
    return added.map((unit) => ["symlink", `${WANTS}/${unit}`, TEMPLATE]);
  }

  #disable(units: readonly string[]): string[][] {
    const removed = units.filter((unit) => this.enabled.delete(unit));
    return removed.map((unit) => ["unlink", `${WANTS}/${unit}`, ""]);
  }
}

function poolProperties(): Map<string, Variant> {
  return new Map([
    ["PoolPath", new Variant("s", "/var/lib/machines")],
    ["PoolUsage", new Variant("t", UINT64_MAX)],
    ["PoolLimit", new Variant("t", UINT64_MAX)],
  ]);
}

function addressRows(machine: FakeMachine): unknown[] {
  if (machine.addresses === null) {
    const text = `Machine ${machine.name} does not use private networking`;
    throw new FakeBusError("org.freedesktop.machine1.NoPrivateNetworking", text);
  }
  return machine.addresses.map((text) => {
    const bytes = Buffer.from(addressBytes(text));
    return [bytes.length === 4 ? 2 : 10, bytes];
  });
}
