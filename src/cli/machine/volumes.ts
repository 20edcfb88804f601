// `machinectl bind-volume` and `unbind-volume`: passes the descriptor of a storage provider's volume to a running
// machine over the machine's control socket (machinectl(1), "Machine Commands").
import { errnoText } from "../../base/errno.ts";
import { errnoNameOf } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { attempt, Failure, isVarlinkFailure } from "../session/failure.ts";
import type { Varlink } from "../session/ports.ts";
import type { Session } from "../session/session.ts";
import { controlAddress, noControlSocket } from "./control-socket.ts";
import { parseVolumeName, parseVolumeSpec, type VolumeSpec } from "./volume-spec.ts";

/** The verb `bind-volume`: acquires a volume from its provider, and passes it to the machine. */
export async function bindVolume(session: Session, [machine = "", text = ""]: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  requireLocal(session, "bind-volume");
  const spec = parseVolumeSpec(text);
  if (typeof spec === "string") {
    throw new Failure(`Failed to parse bind-volume argument '${text}': ${errnoText(spec)}`);
  }
  const control = await connectControl(session, machine);
  const name = `${spec.provider}:${spec.volume}`;
  const volume = await acquire(session, spec, name);
  const parameters = { fileDescriptorIndex: 0, name, config: spec.config };
  await inMachine("AddStorage", name, () =>
    control.call("io.systemd.MachineInstance.AddStorage", parameters, { descriptors: [volume] }),
  );
  return 0;
}

/** The verb `unbind-volume`. */
export async function unbindVolume(session: Session, [machine = "", name = ""]: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  requireLocal(session, "unbind-volume");
  if (parseVolumeName(name) === null) {
    throw new Failure(`Invalid unbind-volume name '${name}', expected '<provider>:<volume>'.`);
  }
  const control = await connectControl(session, machine);
  await inMachine("RemoveStorage", name, () => control.call("io.systemd.MachineInstance.RemoveStorage", { name }));
  return 0;
}

/** Throws a Failure with -H or -M: descriptors can be passed over sockets of this host only. */
function requireLocal(session: Session, verb: string): void {
  if (session.settings.transport.kind !== "local")
    throw new Failure(`${verb} is only supported on the local transport.`);
}

async function connectControl(session: Session, machine: string): Promise<Varlink> {
  const manager = await session.varlink();
  if (manager === null) {
    const hint = "Volumes need the Varlink socket of systemd-machined, which 257 and later have.";
    throw new Failure("Failed to connect to machined varlink: No such file or directory", { hint });
  }
  const address = await controlAddress(manager, machine);
  if (address === null) throw noControlSocket(machine);
  return attempt(`Failed to connect to the control socket of machine '${machine}'`, () =>
    session.connectVarlink(address, `the control socket of machine '${machine}'`),
  );
}

/** The limit for a provider's reply, in which the user may have to type a password. */
const ACQUIRE_TIMEOUT_MS = 45_000;

/** Acquires the volume; the caller closes the Fd. Varlink errors are printed as their ids, as the original does. */
async function acquire(session: Session, spec: VolumeSpec, name: string): Promise<Fd> {
  const { settings, ports } = session;
  const directory = settings.scope === "user" ? `${ports.env["XDG_RUNTIME_DIR"] ?? ""}/systemd` : "/run/systemd";
  const path = `${directory}/io.systemd.StorageProvider/${spec.provider}`;
  try {
    const provider = await session.connectVarlink(path, `storage provider '${spec.provider}'`);
    const request = {
      name: spec.volume,
      ...spec.acquisition,
      allowInteractiveAuthentication: settings.askPassword,
    };
    const answer = await provider.call("io.systemd.StorageProvider.Acquire", request, {
      timeoutMs: ACQUIRE_TIMEOUT_MS,
    });
    return pick(provider.descriptors, answer["fileDescriptorIndex"]);
  } catch (error) {
    throw new Failure(`Failed to acquire storage volume '${name}' from provider: ${why(error)}`, { cause: error });
  }
}

/** Returns the descriptor at the index of the reply, and closes the others. */
function pick(descriptors: readonly Fd[], index: unknown): Fd {
  const wanted = typeof index === "number" ? descriptors[index] : undefined;
  for (const fd of descriptors) if (fd !== wanted) fd.close();
  if (wanted === undefined) throw new Failure("The reply contains no file descriptor");
  return wanted;
}

async function inMachine(method: string, name: string, call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
  } catch (error) {
    throw new Failure(`${method} failed for '${name}': ${why(error)}`, { cause: error });
  }
}

function why(error: unknown): string {
  if (isVarlinkFailure(error)) return error.id;
  const errno = errnoNameOf(error);
  return errno === null ? (error as Error).message : errnoText(errno);
}
