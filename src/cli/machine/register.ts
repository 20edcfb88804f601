// `machinectl register` and `unregister`: registers a machine that was not started by a program that registers it
// itself.
import { Variant } from "../../base/variant.ts";
import { writeSome } from "../../kernel/file/byte-io.ts";
import { setNonblocking } from "../../kernel/file/fd.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { openPipe } from "../../kernel/process/pipe.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { attempt, Failure, isBusFailure, meansNoMachine } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { machineFacts } from "./details.ts";

const NO_SUCH_CALL = ["org.freedesktop.DBus.Error.UnknownMethod", "org.freedesktop.DBus.Error.NotSupported"];
const NOT_FOUND = 127;

/**
 * A shell script that waits for a line on descriptor 3 and then becomes the command. The line is written after the
 * shell was registered as leader, so the command never runs unregistered. If the descriptor is closed without a line,
 * the shell exits.
 */
const WAIT_FOR_LINE = 'read -r go <&3 || exit 125; exec 3<&-; exec "$@"';

/** Returns the properties for RegisterMachineEx(), which systemd 260 and later have. */
function propertiesOf({ settings }: Session, leader: PidRef): [string, Variant][] {
  const { service, machineClass, rootDirectory, vsockCid, sshAddress, sshPrivateKey } = settings.registration;
  const texts = { Service: service, Class: machineClass, RootDirectory: rootDirectory };
  const more = { SSHAddress: sshAddress, SSHPrivateKeyPath: sshPrivateKey };
  if (leader.pidfd === null) {
    throw new Failure("Failed to open a pidfd of the leader: this kernel has none; Linux 5.3 or newer is needed");
  }
  return [
    ["LeaderPIDFD", new Variant("h", leader.pidfd)],
    ...Object.entries({ ...texts, ...more })
      .filter(([, text]) => text !== "")
      .map(([name, text]): [string, Variant] => [name, new Variant("s", text)]),
    ...(vsockCid === null ? [] : [["VSockCID", new Variant("u", vsockCid)] as [string, Variant]]),
  ];
}

/** Registers with a daemon before 260, and warns about properties that its RegisterMachine() does not accept. */
async function registerOld(session: Session, name: string, leader: PidRef): Promise<void> {
  const { service, machineClass, rootDirectory, vsockCid, sshAddress, sshPrivateKey } = session.settings.registration;
  if (vsockCid !== null || sshAddress !== "" || sshPrivateKey !== "") {
    session.report.warning(
      `Machine '${name}' is registered without VSOCK CID and SSH address: this systemd-machined accepts none`,
    );
  }
  await session.manager("RegisterMachine", {
    name,
    id: new Uint8Array(0),
    service,
    class: machineClass,
    leader: leader.pid,
    root_directory: rootDirectory,
  });
}

async function registerLeader(session: Session, name: string, leader: PidRef): Promise<void> {
  await attempt(`Failed to register machine '${name}'`, async () => {
    try {
      await session.manager("RegisterMachineEx", { name, properties: propertiesOf(session, leader) });
    } catch (error) {
      if (!isBusFailure(error, ...NO_SUCH_CALL)) throw error;
      await registerOld(session, name, leader);
    }
  });
}

/**
 * Unregisters a machine after the end of its leader `pid`, unless the manager has already done so or another machine
 * has the name by now.
 */
async function unregisterEnded(session: Session, name: string, pid: number): Promise<void> {
  try {
    const { leaderPid } = await machineFacts(session, name);
    if (leaderPid === pid) await session.manager("UnregisterMachine", { name });
  } catch (error) {
    if (!isBusFailure(error) && !meansNoMachine(error)) throw error;
  }
}

/** Starts the command as the leader of a new machine and waits for its end; returns its exit status. */
async function registerCommand(session: Session, name: string, command: readonly string[]): Promise<number> {
  if (Bun.which(command[0] ?? "") === null) {
    session.report.error(`Failed to run '${command[0]}' as leader of machine '${name}': no such program`);
    return NOT_FOUND;
  }
  const [wait, begin] = openPipe();
  setNonblocking(wait, "off");
  const stdio = ["inherit", "inherit", "inherit", wait.number] as ["inherit", "inherit", "inherit", number];
  const child = Bun.spawn(["/bin/sh", "-c", WAIT_FOR_LINE, "sh", ...command], { stdio });
  wait.close();
  // ^C reaches the command itself, because it is in the same process group; signals to this process alone are passed
  // on.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(signal, () => child.kill(signal));
  try {
    using leader = PidRef.of(child.pid);
    await registerLeader(session, name, leader);
    writeSome(begin, Buffer.from("\n"));
  } finally {
    // If no line was written, the shell now exits without running the command.
    begin.close();
  }
  const status = await child.exited;
  await unregisterEnded(session, name, child.pid);
  return status;
}

/**
 * The verb `register`: with a running process as leader (--leader=), or with a command that is started as leader, whose
 * exit status is returned.
 */
export async function register(session: Session, [name = "", ...command]: readonly string[]): Promise<number> {
  const { leader: pid } = session.settings.registration;
  if (session.settings.transport.kind !== "local") throw new Failure("Only machines of this host can be registered");
  if ((pid === null) === (command.length === 0)) {
    throw new Failure(
      "Either a leader or a command is needed: register NAME --leader=PID, or register NAME -- COMMAND…",
    );
  }
  await startPolkitAgent(session);
  if (pid === null) return registerCommand(session, name, command);
  await attempt(`Failed to register machine '${name}' with leader ${pid}`, async () => {
    using leader = PidRef.of(pid);
    await registerLeader(session, name, leader);
  });
  return 0;
}

/** The verb `unregister`. The processes of the machines continue. */
export async function unregister(session: Session, names: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  for (const name of names) {
    await attempt(`Failed to unregister machine '${name}'`, () => session.manager("UnregisterMachine", { name }));
  }
  return 0;
}
