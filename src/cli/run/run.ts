// `machinectl run`: starts a machine from an image, which is pulled if it is missing. With a command, runs the command
// in that machine with the caller's own standard streams, and ends the machine when the command ends.
import { formatAddress, isGlobalAddress } from "../../base/ip-address.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { openPipe } from "../../kernel/process/pipe.ts";
import { selfCommand } from "../../kernel/process/spawn.ts";
import { sshAddressOf } from "../exec/exec.ts";
import { commandIn, orExitOurs } from "../exec/order.ts";
import { waitForMachines } from "../exec/wait.ts";
import { hasImageOfAnyName } from "../image/units.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { Failure, isBusFailure, orNull } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import type { Settings } from "../session/settings.ts";
import { type ImageWord, madeName, readImageWord, requireMachineName, usualName } from "./image-word.ts";
import { factsPath, type RunFacts, type RunOrder, unitOfRun } from "./order.ts";
import { provideImage } from "./pull.ts";
import { startRun, stopRun } from "./unit.ts";
import { checkNetwork } from "./vmspawn.ts";

/** How long to wait for an address after the machine has booted. */
const ADDRESS_MS = 10_000;
const ENDED_INSTEAD = 1;
const POLL_MS = 250;
const PASSED_ON = ["SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/** Throws a Failure for options and hosts with which `run` does not work. */
function checkCall({ settings, ports }: Session, hasCommand: boolean): void {
  if (settings.transport.kind !== "local" || settings.scope !== "system") {
    throw new Failure("run works with system images of this host only: for another host, use ssh(1); leave out --user");
  }
  checkRunner(settings, hasCommand);
  if (!hasCommand) checkWithoutCommand(settings);
  if (!ports.isThere("/run/systemd/system")) {
    throw new Failure("run needs systemd as service manager, which does not run on this host");
  }
}

/** Throws a Failure for options that the runner does not have. */
function checkRunner({ runner, environment, run: { network, options } }: Settings, hasCommand: boolean): void {
  const isVirtual = runner === "vmspawn";
  const foreign = options.find(({ only }) => only !== null && only !== runner);
  if (foreign !== undefined)
    throw new Failure(
      `${foreign.from} is for ${isVirtual ? "containers: leave it or -V out" : "virtual machines: add -V"}`,
    );
  if (isVirtual) checkNetwork(network);
  else if (network === "user") throw new Failure("--network=user is for virtual machines: add -V");
  if (isVirtual && environment.length > 0 && !hasCommand)
    throw new Failure("--setenv= is for containers and commands: the init of a virtual machine takes no variables");
}

/** Throws a Failure for options of the command: without one, they would mean nothing. */
function checkWithoutCommand({ uid, directory, timeoutMs, stdin }: Settings): void {
  const isGiven = { uid: uid !== "", chdir: directory !== null, timeout: timeoutMs > 0, stdin: !stdin };
  const given = Object.entries(isGiven).find(([, isThere]) => isThere)?.[0];
  if (given !== undefined)
    throw new Failure(`--${given}= is for a command: add one, or -t for the image's own program or a shell`);
}

/** Returns the machine's name: of --name=, or made from the image's name, with --rm with random digits. */
function machineName({ run: { name, remove } }: Session["settings"], word: ImageWord): string {
  if (name !== "") return requireMachineName(name);
  return remove ? madeName(word.name) : usualName(word.name);
}

function hasEnded(machine: string): Failure {
  return new Failure(`Machine '${machine}' has ended: 'journalctl --unit=${unitOfRun(machine)}' shows what it wrote`);
}

/**
 * Parses the file of facts; throws a Failure if it is missing (`text` is null), because it is removed with the unit.
 */
function readFacts(text: string | null, machine: string): RunFacts {
  if (text === null) throw hasEnded(machine);
  return JSON.parse(text) as RunFacts; // the unit's process wrote it
}

/**
 * Waits for the machine. Throws a Failure if it ends instead, also before it was registered or seen: its unit's files
 * are gone then.
 */
async function waitForMachine(session: Session, machine: string, waitFor: "booted" | "ssh"): Promise<void> {
  const gone = Promise.withResolvers<number>();
  const look = () => session.ports.isThere(factsPath(machine)) || gone.resolve(ENDED_INSTEAD);
  const timer = setInterval(look, POLL_MS);
  try {
    const wait = waitForMachines(session, [machine], { waitFor, any: false, timeoutMs: 0 });
    const ended = wait.then(({ status }) => status);
    if ((await Promise.race([ended, gone.promise])) === ENDED_INSTEAD) throw hasEnded(machine);
  } finally {
    clearInterval(timer);
  }
}

/** Waits until the machine has booted, and prints its name and, if it has some in time, its addresses. */
async function describeMachine(session: Session, machine: string): Promise<number> {
  await waitForMachine(session, machine, "booted");
  const hasNetwork = (await orNull(session.manager("GetMachineAddresses", { name: machine }))) !== null;
  const limit = { waitFor: "address", any: false, timeoutMs: ADDRESS_MS } as const;
  if (hasNetwork && session.settings.run.network !== "none") await waitForMachines(session, [machine], limit);
  const reply = await orNull(session.manager("GetMachineAddresses", { name: machine }));
  const addresses = (reply?.addresses ?? []).map(([, bytes]) => formatAddress(bytes)).filter(isGlobalAddress);
  session.output.write(`${[machine, ...addresses].join(" ")}\n`);
  return 0;
}

/** Returns the words of `machinectl exec` that run the command, with user, directory and environment of the image. */
function execWords({ settings }: Session, machine: string, facts: RunFacts, command: readonly string[]): string[] {
  const user = settings.uid || facts.user;
  const directory = settings.directory ?? facts.directory;
  return [
    "exec",
    ...(settings.tty ? ["--tty"] : []),
    ...(settings.stdin ? [] : ["--stdin=no"]),
    ...(settings.askPassword ? [] : ["--no-ask-password"]),
    ...(user === null ? [] : [`--uid=${user}`]),
    ...(directory === null ? [] : [`--chdir=${directory}`]),
    ...(settings.timeoutMs > 0 ? [`--timeout=${settings.timeoutMs}ms`] : []),
    ...[...facts.environment, ...settings.environment].map((assignment) => `--setenv=${assignment}`),
    machine,
    ...command,
  ];
}

/**
 * Waits until a virtual machine answers over ssh, which runs the command in it. Throws a Failure if it has no SSH
 * address.
 */
async function waitForShell(session: Session, machine: string): Promise<void> {
  const address = await orNull(sshAddressOf(session, machine));
  if (address === null) {
    const hint =
      "systemd-vmspawn(1) gives one to machines of hosts that have /dev/vhost-vsock: 'modprobe vhost_vsock'. " +
      "Without a command, 'run -V' needs none.";
    throw new Failure(`Machine '${machine}' has no SSH address, over which commands are run in virtual machines`, {
      hint,
    });
  }
  await waitForMachine(session, machine, "ssh");
}

/**
 * Runs the command with the standard streams of this client; returns its exit status. SIGINT is ignored, because ^C
 * reaches the command itself, which is in the same process group.
 */
async function runCommand(session: Session, order: RunOrder, command: readonly string[]): Promise<number> {
  const { machine } = order;
  const facts = readFacts(await session.ports.readText(factsPath(machine)), machine);
  const wanted = command.length > 0 ? command : facts.boots ? [] : facts.command;
  if (wanted.length === 0 && !facts.boots)
    throw new Failure(
      `Image '${order.image}' has no init, and its settings name no program: add a command to the command line`,
    );
  if (order.runner === "vmspawn") await waitForShell(session, machine);
  else if (facts.boots) await waitForMachine(session, machine, "booted");
  const shell = wanted.length > 0 ? wanted : ["/bin/sh", "-l"];
  const self = selfCommand("machinectl", execWords(session, machine, facts, shell));
  const child = Bun.spawn(self.command, {
    argv0: self.argv0,
    stdio: ["inherit", "inherit", "inherit"],
    env: process.env,
  });
  process.on("SIGINT", () => {});
  for (const signal of PASSED_ON) process.on(signal, () => child.kill(signal));
  return child.exited;
}

/**
 * Starts a machine for one command, and runs that. The unit reads from a pipe whose other end this process holds, so
 * that the machine ends with this process, even if it is killed.
 */
async function forCommand(session: Session, order: RunOrder, command: readonly string[]): Promise<number> {
  const [life, end] = openPipe();
  using held: Fd = end;
  try {
    await startRun(session, order, life);
  } finally {
    life.close();
  }
  try {
    return await runCommand(session, order, command);
  } finally {
    held.close();
    await stopUnit(session, order.machine);
  }
}

/** Stops the unit and waits for its end; it may have ended already. */
async function stopUnit(session: Session, machine: string): Promise<void> {
  try {
    await stopRun(session, machine);
  } catch (error) {
    if (!isBusFailure(error)) throw error;
  }
}

/** The verb `run`. Returns the exit status of the command, 125 if it cannot be run; without a command, 0. */
export function run(session: Session, [text = "", ...words]: readonly string[]): Promise<number> {
  const { settings } = session;
  const command = commandIn(words);
  const hasCommand = command.length > 0 || settings.tty;
  const start = async (): Promise<number> => {
    checkCall(session, hasCommand);
    await startPolkitAgent(session);
    const word = await readImageWord(text, (name) => hasImageOfAnyName(session, name));
    const machine = machineName(settings, word);
    if ((await orNull(session.manager("GetMachine", { name: machine }))) !== null) {
      const hint =
        "--rm runs a clone of the image under a name of its own; 'machinectl exec' runs a command in that machine.";
      throw new Failure(`Machine '${machine}' runs already`, { hint });
    }
    await provideImage(session, word);
    const order: RunOrder = {
      runner: settings.runner,
      image: word.name,
      machine,
      isTemporary: settings.run.remove,
      hasCommand,
      network: settings.run.network,
      options: settings.run.options.map(({ text }) => text),
      environment: settings.environment,
    };
    if (hasCommand) return forCommand(session, order, command);
    await startRun(session, order, null);
    return describeMachine(session, machine);
  };
  return hasCommand ? orExitOurs(session, start) : start();
}
