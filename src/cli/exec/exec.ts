// `machinectl exec`: a command in a machine, with the caller's own standard input, output and error and no terminal between.
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import { type MachineFacts, machineFacts } from "../machine/details.ts";
import { chosenMachines } from "../machine/names.ts";
import { Failure, failed, isBusFailure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { EXIT_OURS, type ExecOrder, environmentOf } from "./order.ts";
import type { SshAddress } from "./ssh.ts";

/** `[USER@]NAME[,NAME…]`; the option `--uid=` is the user of names without one. */
function parsePlace(text: string, uid: string): { user: string; names: string } {
  const at = text.lastIndexOf("@");
  return at <= 0 ? { user: uid, names: text } : { user: text.slice(0, at), names: text.slice(at + 1) };
}

/** Holds the leader, so that no later process can be taken for it. The caller disposes of it. */
async function holdLeader(facts: MachineFacts, session: Session): Promise<PidRef> {
  const { PidRef } = await import("../../kernel/process/pidref.ts");
  const leader = PidRef.of(facts.leaderPid);
  try {
    // The PID may have been reused before the pidfd was opened: then the manager reports another leader.
    const again = await machineFacts(session, facts.name);
    if (again.leaderPid === facts.leaderPid && again.id === facts.id) return leader;
    throw new Failure(`Machine '${facts.name}' has ended`);
  } catch (error) {
    leader[Symbol.dispose]();
    throw error;
  }
}

/** Runs the order in a machine of this host, as root. Without a terminal this process becomes the command. */
async function enter(session: Session, facts: MachineFacts, { user, command }: ExecOrder): Promise<number> {
  const { settings } = session;
  using leader = await holdLeader(facts, session);
  const request = {
    leader,
    machine: facts.name,
    ownerUid: facts.uid,
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
  await session.close();
  if (!settings.stdin) (await import("../../kernel/file/fd.ts")).discardStandardInput();
  const { becomeCommand } = await import("../../exec/run.ts");
  return await becomeCommand(request);
}

/** The way into a virtual machine; a Failure where it has none. */
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

/** Runs the order here, in a virtual machine or on another host; returns its exit status. Throws a Failure. */
export async function runOne(session: Session, order: ExecOrder): Promise<number> {
  const { machine, command } = order;
  try {
    if (session.settings.transport.kind === "remote") {
      return await (await import("./ssh.ts")).execOnHost(session, order);
    }
    const facts = await machineFacts(session, machine);
    if (facts.class === "vm") {
      const address = await sshAddressOf(session, machine);
      return await (await import("./ssh.ts")).execInVirtualMachine(session, order, address);
    }
    if (session.ports.euid !== 0 || session.settings.throughService)
      return await (await import("./service.ts")).execThroughService(session, order);
    return await enter(session, facts, order);
  } catch (error) {
    if (error instanceof Failure || (errnoNameOf(error) === null && !isBusFailure(error))) throw error;
    const attempt = `Cannot run '${command[0] ?? "a shell"}' in machine '${machine}'`;
    // Ours has a text of its own, which says more than its number.
    if (error instanceof ErrnoError) throw new Failure(`${attempt}: ${error.message}`, { cause: error });
    throw failed(attempt, error);
  }
}

/** The verb `exec`. Exits with the command's own status; with that of the first that failed where there are several. */
export async function exec(session: Session, [place = "", ...words]: readonly string[]): Promise<number> {
  // What ends the options of other programs is no command.
  const command = words[0] === "--" ? words.slice(1) : words;
  try {
    const { user, names } = parsePlace(place, session.settings.uid);
    const machines = await chosenMachines(session, names);
    const [only] = machines;
    if (only !== undefined && machines.length === 1) return await runOne(session, { machine: only, user, command });
    return await (await import("./many.ts")).execMany(session, machines, user, command);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    session.report.failure(error);
    return EXIT_OURS;
  }
}
