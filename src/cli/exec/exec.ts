// `machinectl exec`: runs a command in a machine with the caller's own standard input, output and error, not on a
// terminal of the machine. Root enters the machine itself; for other users machined-exec does; virtual machines and
// other hosts are reached over ssh.

import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { MachineEnded } from "../../exec/ended.ts";
import type { EnterRequest } from "../../exec/enter.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import type { JsonMode } from "../format/json.ts";
import { chosenMachines } from "../machine/names.ts";
import { Failure, failed, isBusFailure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { isOfThisHost } from "../session/target.ts";
import { commandIn, type ExecOrder, environmentOf, orExitOurs } from "./order.ts";
import type { SshAddress } from "./ssh.ts";
import { type ExecTarget, execTarget, holdLeader } from "./target.ts";

/** Splits `[USER@]NAME[,NAME…]`; `uid`, the value of `--uid=`, is the user if the text has none. */
function parsePlace(text: string, uid: string): { user: string; names: string } {
  const at = text.lastIndexOf("@");
  return at <= 0 ? { user: uid, names: text } : { user: text.slice(0, at), names: text.slice(at + 1) };
}

/**
 * Warns that the command runs on the host: the leader is a program such as lxc-start(1), which makes a container and
 * stays outside of it.
 */
async function warnOfHost(session: Session, { name, leaderPid }: ExecTarget, leader: PidRef): Promise<void> {
  if (name === ".host") return;
  const { sameNamespace } = await import("../../kernel/process/namespace.ts");
  const isOnHost = leader.verified(() => sameNamespace(leaderPid, "mnt") && sameNamespace(leaderPid, "pid"));
  if (!isOnHost) return;
  session.report.warning(
    `The leader of machine '${name}', process ${leaderPid}, shares the files and processes of the host: the command runs there`,
  );
}

/**
 * Loads what only entering a machine needs. The program's file, which the caller closes, is copied meanwhile by another
 * thread.
 */
async function loadEntry() {
  const { programFile } = await import("../../exec/program-file.ts");
  const program = programFile();
  const [{ becomeCommand }] = await Promise.all([
    import("../../exec/run.ts"),
    import("../../kernel/process/pidref.ts"),
    import("../../kernel/process/namespace.ts"),
  ]);
  return { becomeCommand, program };
}

type Entry = ReturnType<typeof loadEntry>;

/** Waits for what is being loaded, and closes the program's file where no command has taken it. Never rejects. */
async function discard(entry: Entry | null): Promise<void> {
  try {
    (await (await entry)?.program)?.[Symbol.dispose]();
  } catch {
    // It was thrown where it was awaited; the error of a machine that was not entered comes first.
  }
}

/** Runs the request by a child process, and prints an object about the command that is left running. */
async function enterDetached(session: Session, request: EnterRequest, mode: JsonMode): Promise<number> {
  const [{ printDetached }, { startCommand }, { copyStandard, openPath }] = await Promise.all([
    import("./detached.ts"),
    import("../../exec/run.ts"),
    import("../../kernel/file/fd.ts"),
  ]);
  return printDetached(session, request.machine, mode, (stdout) => {
    using stdin = session.settings.stdin ? copyStandard(0) : openPath("/dev/null", "read");
    using output = stdout;
    using stderr = copyStandard(2);
    return startCommand(request, [stdin, output, stderr]);
  });
}

/**
 * Runs the order in a machine of this host, as root. Without -t, this process becomes the supervisor of the command;
 * `entry` is loaded for that.
 */
async function enter(
  session: Session,
  target: ExecTarget,
  { user, command }: ExecOrder,
  entry: Entry,
): Promise<number> {
  const { settings } = session;
  using leader = await holdLeader(session, target);
  await warnOfHost(session, target, leader);
  const request = {
    leader,
    machine: target.name,
    ownerUid: target.uid,
    user,
    directory: settings.directory,
    environment: environmentOf(session),
    command,
    terminal: settings.tty ? ("own" as const) : ("none" as const),
    terminalSize: null,
    timeoutMs: settings.timeoutMs,
    detach: settings.detach,
    verbose: settings.verbose,
    callerUid: process.getuid?.() ?? 0,
  };
  if (settings.tty) return await (await import("./terminal.ts")).execOnTerminal(session, request);
  if (settings.detach && settings.json !== "off") return await enterDetached(session, request, settings.json);
  await session.close();
  if (!settings.stdin) (await import("../../kernel/file/fd.ts")).discardStandardInput();
  const { becomeCommand, program } = await entry;
  return await becomeCommand(request, program);
}

/** Returns the ssh address that a virtual machine was registered with. Throws a Failure if it has none. */
export async function sshAddressOf(session: Session, name: string): Promise<SshAddress> {
  const { machine: path } = await session.manager("GetMachine", { name });
  const properties = await session.properties(path);
  const text = (property: string) => String(properties.get(property)?.value ?? "");
  if (text("SSHAddress") !== "") return { host: text("SSHAddress"), key: text("SSHPrivateKeyPath") };
  throw new Failure(
    `Machine '${name}' is a virtual machine without an SSH address, and virtual machines are reached over ssh: ` +
      "register it with --ssh-address=",
  );
}

/**
 * Runs the order in a machine of this host, by entering it or over ssh, or on the host that -H names. Returns the exit
 * status of the command. Throws a Failure if the command cannot be run.
 */
export async function runOne(session: Session, order: ExecOrder): Promise<number> {
  const { machine, command } = order;
  let entry: Entry | null = null;
  const load = () => {
    entry ??= loadEntry();
    // Its errors are thrown where it is awaited; an error of the machine itself comes first.
    entry.catch(() => {});
    return entry;
  };
  try {
    if (session.settings.transport.kind === "remote") {
      return await (await import("./ssh.ts")).execOnHost(session, order);
    }
    const isEntered = session.ports.euid === 0 && !session.settings.throughService;
    const target = await execTarget(session, machine, isEntered ? load : () => {});
    if (target.class === "vm") {
      const address = await sshAddressOf(session, machine);
      return await (await import("./ssh.ts")).execInVirtualMachine(session, order, address);
    }
    if (!isEntered) return await (await import("./service.ts")).execThroughService(session, order);
    return await enter(session, target, order, load());
  } catch (error) {
    if (error instanceof Failure || (errnoNameOf(error) === null && !isBusFailure(error))) throw error;
    if (error instanceof MachineEnded) throw new Failure(error.message, { cause: error });
    const attempt = `Cannot run '${command[0] ?? "a shell"}' in machine '${machine}'`;
    // An ErrnoError of this project has a message that says more than the text of its errno.
    if (error instanceof ErrnoError) throw new Failure(`${attempt}: ${error.message}`, { cause: error });
    throw failed(attempt, error);
  } finally {
    await discard(entry);
  }
}

/**
 * Throws a Failure with -M: the leader that the manager in a machine names is a number in that machine, which another
 * process has on this host.
 */
function requireReach({ settings }: Session): void {
  if (settings.transport.kind === "remote" || isOfThisHost(settings)) return;
  throw new Failure("exec runs commands in machines of this host, and with -H in those of another one: leave out -M", {
    hint: "In a machine inside a machine: machinectl exec OUTER machinectl exec INNER COMMAND",
  });
}

/**
 * The verb `exec`. Returns the exit status of the command; with several machines, the first one in their order that is
 * not 0; 125 if the command cannot be run.
 */
export function exec(session: Session, [place = "", ...words]: readonly string[]): Promise<number> {
  const command = commandIn(words);
  if (command.length === 0)
    throw new Failure("Too few arguments.", { hint: "exec needs a command; 'machinectl shell NAME' opens a shell." });
  return orExitOurs(session, async () => {
    requireReach(session);
    const { user, names } = parsePlace(place, session.settings.uid);
    const machines = await chosenMachines(session, names);
    const [only] = machines;
    if (only !== undefined && machines.length === 1) return runOne(session, { machine: only, user, command });
    return (await import("./many.ts")).execMany(session, machines, user, command);
  });
}
