// `machinectl register` and `unregister`: machines of people who start them by hand or by other programs.
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

/** Waits on descriptor 3 for the word to begin, so that the command runs as a registered machine from its first moment on. */
const WAIT_FOR_WORD = 'read -r go <&3 || exit 125; exec 3<&-; exec "$@"';

/** What RegisterMachineEx() of 260 and later takes. */
function propertiesOf({ settings }: Session, leader: PidRef): [string, Variant][] {
  const { service, machineClass, rootDirectory, vsockCid, sshAddress, sshPrivateKey } = settings.registration;
  const texts = { Service: service, Class: machineClass, RootDirectory: rootDirectory };
  const more = { SSHAddress: sshAddress, SSHPrivateKeyPath: sshPrivateKey };
  if (leader.pidfd === null) throw new Failure("This kernel has no pidfds: Linux 5.3 or newer is needed");
  return [
    ["LeaderPIDFD", new Variant("h", leader.pidfd)],
    ...Object.entries({ ...texts, ...more })
      .filter(([, text]) => text !== "")
      .map(([name, text]): [string, Variant] => [name, new Variant("s", text)]),
    ...(vsockCid === null ? [] : [["VSockCID", new Variant("u", vsockCid)] as [string, Variant]]),
  ];
}

/** A daemon of systemd before 260: what its call does not take is left out, and that is said. */
async function registerOld(session: Session, name: string, leader: PidRef): Promise<void> {
  const { service, machineClass, rootDirectory, vsockCid, sshAddress, sshPrivateKey } = session.settings.registration;
  if (vsockCid !== null || sshAddress !== "" || sshPrivateKey !== "") {
    session.report.warning(`This systemd-machined takes no VSOCK CID and no SSH address: machine '${name}' has none`);
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

/** Forgets a machine, where it has not been forgotten with its leader, and is not another one of the same name by now. */
async function unregisterEnded(session: Session, name: string, pid: number): Promise<void> {
  try {
    const { leaderPid } = await machineFacts(session, name);
    if (leaderPid === pid) await session.manager("UnregisterMachine", { name });
  } catch (error) {
    if (!isBusFailure(error) && !meansNoMachine(error)) throw error;
  }
}

/** Runs the command as the leader of the machine; returns its exit status. */
async function registerCommand(session: Session, name: string, command: readonly string[]): Promise<number> {
  if (Bun.which(command[0] ?? "") === null) {
    session.report.error(`There is no program '${command[0]}'`);
    return NOT_FOUND;
  }
  const [wait, begin] = openPipe();
  setNonblocking(wait, "off");
  const stdio = ["inherit", "inherit", "inherit", wait.number] as ["inherit", "inherit", "inherit", number];
  const child = Bun.spawn(["/bin/sh", "-c", WAIT_FOR_WORD, "sh", ...command], { stdio });
  wait.close();
  // ^C is for the command, which shares our terminal; what is sent to us alone is passed on.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(signal, () => child.kill(signal));
  try {
    using leader = PidRef.of(child.pid);
    await registerLeader(session, name, leader);
    writeSome(begin, Buffer.from("\n"));
  } finally {
    // Without the word the shell exits, and the command is not run.
    begin.close();
  }
  const status = await child.exited;
  await unregisterEnded(session, name, child.pid);
  return status;
}

/** The verb `register`: a process that runs already (--leader=), or a command that is run as the leader. */
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

/** The verb `unregister`: the machines are forgotten, and their processes go on. */
export async function unregister(session: Session, names: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  for (const name of names) {
    await attempt(`Failed to unregister machine '${name}'`, () => session.manager("UnregisterMachine", { name }));
  }
  return 0;
}
