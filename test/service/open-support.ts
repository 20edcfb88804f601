// A machine for tests: a process in its own mount namespace, with a devpts and the socket of a bus at a container's
// paths, and a simulated service manager on that bus.
import { join } from "node:path";
import type { Subprocess } from "bun";
import type { Variant } from "../../src/base/variant.ts";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import type { Incoming } from "../../src/ipc/bus/stream.ts";
import { type Fd, statFd } from "../../src/kernel/file/fd.ts";
import type { TestBus } from "../lib/private-bus.ts";
import { waitFor } from "../lib/wait-for.ts";

const SYSTEMD = "org.freedesktop.systemd1";

/** Commands that give a new mount namespace a devpts, and a bus at the usual path if one is passed. */
function dressing(bus: Pick<TestBus, "socket"> | null): string {
  const common = "mount -t devpts -o newinstance,ptmxmode=666,mode=620 inside /dev/pts && mount -t tmpfs inside /run";
  if (bus === null) return common;
  const socket = "/run/dbus/system_bus_socket";
  return `${common} && mkdir /run/dbus && touch ${socket} && mount --bind ${bus.socket} ${socket}`;
}

/** Commands that mount a file system whose program never answers: a process that uses it blocks. */
export function deadFileSystem(...places: string[]): string {
  const options = "fd=5,rootmode=40000,user_id=0,group_id=0";
  return places.map((place) => `exec 5<>/dev/fuse && mount -i -t fuse -o ${options} dead ${place}`).join(" && ");
}

/**
 * Commands that mount a file system at /run/mute whose program reads every request and answers none, so that even
 * SIGKILL has to wait for it, and link /etc/os-release and /etc/held to it. The program is started before, because it
 * needs files.
 */
export function muteFileSystem(): string {
  const options = "fd=5,rootmode=40000,user_id=0,group_id=0";
  const server = `${process.execPath} ${join(import.meta.dir, "mute-file-system.ts")}`;
  return [
    "mkdir /run/mute /run/etc && mkfifo /run/up && exec 5<>/dev/fuse",
    `{ setpriv --pdeathsig KILL ${server} >/run/up & } && read up </run/up`,
    `mount -i -t fuse -o ${options} mute /run/mute && exec 5<&-`,
    "ln -s /run/mute/os-release /run/etc/os-release && ln -s /run/mute /run/etc/held && mount --bind /run/etc /etc",
  ].join(" && ");
}

/** A leader in its own namespaces, which runs more commands first; ended by `using`. */
export class TestMachine implements AsyncDisposable {
  readonly pid: number;
  readonly #process: Subprocess;

  private constructor(child: Subprocess) {
    this.#process = child;
    this.pid = child.pid;
  }

  /** `kinds` are options of unshare(1). */
  static async start(
    kinds: readonly string[],
    bus: Pick<TestBus, "socket"> | null,
    more = "true",
  ): Promise<TestMachine> {
    const script = `${dressing(bus)} && ${more} && cd / && exec sleep 1000`;
    const child = Bun.spawn(["unshare", ...kinds, "sh", "-c", script], { stdio: ["ignore", "ignore", "inherit"] });
    await waitFor(async () => {
      const comm = await Bun.file(`/proc/${child.pid}/comm`).text();
      if (comm.trim() !== "sleep") throw new Error(`it is ${comm.trim()}`);
    }, "the machine");
    return new TestMachine(child);
  }

  signal(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}

interface StartedUnit {
  readonly unit: string;
  readonly mode: string;
  readonly properties: ReadonlyMap<string, Variant>;
  /** The kind of file that StandardInputFileDescriptor was. */
  readonly terminal: string;
}

/** The service manager in a machine: only the calls for terminals. */
export class PlayedGuest {
  readonly calls: string[] = [];
  readonly started: StartedUnit[] = [];
  /** Properties that it does not know. */
  readonly unknown = new Set<string>();
  /** The error of all its answers. */
  refusal: [name: string, text: string] | null = null;
  /** Whether it receives calls without answering. */
  isSilent = false;
  readonly #bus: BusClient;

  private constructor(bus: BusClient) {
    this.#bus = bus;
  }

  static async start(on: TestBus): Promise<PlayedGuest> {
    const guest = new PlayedGuest(await on.connect());
    guest.#bus.onCall((message) => guest.#call(message));
    await guest.#bus.driver("RequestName", "su", [SYSTEMD, 0]);
    return guest;
  }

  #call(message: Incoming): void {
    const values = message.values();
    if (message.member === "StartTransientUnit") {
      this.#start(message, values as [string, string, [string, Variant][]]);
    } else {
      this.calls.push(`${message.member} ${values.join(" ")}`);
      this.#answer(message, this.refusal);
    }
    for (const fd of message.descriptors) fd.close();
  }

  #start(message: Incoming, [unit, mode, list]: [string, string, [string, Variant][]]): void {
    const strange = list.find(([name]) => this.unknown.has(name));
    if (strange !== undefined) {
      const text = `Cannot set property ${strange[0]}, or unknown property.`;
      this.#answer(message, ["org.freedesktop.DBus.Error.PropertyReadOnly", text]);
      return;
    }
    const properties = new Map(list);
    const input = properties.get("StandardInputFileDescriptor")?.value as Fd | undefined;
    this.started.push({ unit, mode, properties, terminal: input === undefined ? "none" : statFd(input).kind });
    this.#answer(message, this.refusal);
  }

  #answer(message: Incoming, error: [string, string] | null): void {
    if (this.isSilent) return;
    const to = { replySerial: message.serial, destination: message.sender };
    if (error === null) this.#bus.send({ ...to, type: 2, signature: "o", body: ["/org/freedesktop/systemd1/job/1"] });
    else this.#bus.send({ ...to, type: 3, errorName: error[0], signature: "s", body: [error[1]] });
  }
}
