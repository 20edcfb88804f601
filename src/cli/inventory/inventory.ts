// `machinectl inventory`: prints the machines in formats of other programs (Ansible, Prometheus).

import { dirname, join } from "node:path";
import { jsonWithoutControls } from "../../base/text/control-characters.ts";
import { installedProgram } from "../../base/vocabulary/installation.ts";
import { DEFAULT_PORT, parsePort, targetGroups } from "../../stats/targets.ts";
import { listMachines } from "../machine/list-rows.ts";
import { attempt, Failure, orNull } from "../session/failure.ts";
import { inParallel } from "../session/in-parallel.ts";
import { replaceFile } from "../session/replace-file.ts";
import type { Session } from "../session/session.ts";
import { remoteHost } from "../session/target.ts";
import {
  hostVariables,
  type InventoryMachine,
  inventoryOf,
  isReachable,
  isUnmistakable,
  jumpHost,
  type Reach,
} from "./ansible.ts";

const CALLS_AT_ONCE = 32;

function refuse(words: readonly string[], usage: string): never {
  throw new Failure(`Wrong arguments of the inventory: ${words.join(" ")}`, {
    hint: `Usage: machinectl inventory ${usage}`,
  });
}

/** Returns the machines of the host without hidden ones such as `.host`. */
function listed(session: Session) {
  return attempt("Could not get machines", () =>
    listMachines(session, { hidden: false, needs: new Set(["addresses"]) }),
  );
}

/** Returns the ssh address and key of a virtual machine; empty if the daemon does not have them. */
async function sshOf(session: Session, name: string): Promise<{ sshAddress: string; sshPrivateKey: string }> {
  const found = await orNull(session.manager("GetMachine", { name }));
  const properties = found === null ? null : await orNull(session.properties(found.machine));
  const text = (property: string) => {
    const value = properties?.get(property)?.value;
    return typeof value === "string" ? value : "";
  };
  return { sshAddress: text("SSHAddress"), sshPrivateKey: text("SSHPrivateKeyPath") };
}

/** The name of the program that is beside the installed executable. */
const REMOTE_SHELL = "machined-rsh";

function remoteShell({ ports }: Session): string | null {
  const installed = installedProgram(ports.isThere);
  const path = installed === null ? null : join(dirname(installed), REMOTE_SHELL);
  return path !== null && ports.isThere(path) ? path : null;
}

/** Returns how the machines can be reached. Throws a Failure for -M and for a machine in -H. */
function reachOf(session: Session): Reach {
  const { transport } = session.settings;
  if (transport.kind === "machine")
    throw new Failure("The inventory cannot be used with -M, because Ansible cannot reach machines in a machine");
  if (transport.kind === "local") return { remoteShell: remoteShell(session), through: null };
  const target = remoteHost(transport.host);
  if (target.kind !== "ssh" || target.machine !== undefined) {
    throw new Failure(`Ansible needs a host after -H, not '${transport.host}'`);
  }
  return { remoteShell: null, through: jumpHost(target) };
}

/**
 * Warns of machines that Ansible cannot reach: it would use the name of a machine without an address as its address.
 */
function warn({ report }: Session, machines: readonly InventoryMachine[], reach: Reach): void {
  const names = machines.filter((machine) => !isReachable(machine, reach)).map(({ name }) => name);
  if (names.length === 0) return;
  const where = reach.through === null ? "from here" : `through ${reach.through}`;
  report.warning(
    `Ansible cannot reach ${names.join(", ")} ${where}: no address is known. A machine has one with a network of its own; containers need none where 'machinectl inventory ansible' runs on their own host, with machined installed.`,
  );
}

/** Returns the machines for Ansible; warns of those that are left out because of their names. */
async function inventoryMachines(session: Session): Promise<InventoryMachine[]> {
  const machines = await listed(session);
  const mistakable = machines.map(({ name }) => name).filter((name) => !isUnmistakable(name));
  if (mistakable.length > 0) {
    const names = mistakable.join(", ");
    session.report.warning(`Left out: ${names}: to Ansible, these names are its own host and groups.`);
  }
  const named = machines.filter(({ name }) => isUnmistakable(name));
  return inParallel(named, CALLS_AT_ONCE, async (machine) => {
    const ssh = machine.class === "vm" ? await sshOf(session, machine.name) : { sshAddress: "", sshPrivateKey: "" };
    return { ...machine, ...ssh };
  });
}

function print(session: Session, value: unknown): number {
  session.output.write(`${jsonWithoutControls(JSON.stringify(value, null, 2))}\n`);
  return 0;
}

/** The inventory for Ansible, with the arguments of an inventory script: `--list` (the default) or `--host NAME`. */
async function ansible(session: Session, words: readonly string[]): Promise<number> {
  const [option, name, ...rest] = words.flatMap((word) =>
    word.startsWith("--host=") ? ["--host", word.slice(7)] : [word],
  );
  const reach = reachOf(session);
  if ((option === undefined || option === "--list") && name === undefined) {
    const machines = await inventoryMachines(session);
    warn(session, machines, reach);
    return print(session, inventoryOf(machines, reach));
  }
  if (option !== "--host" || name === undefined || rest.length > 0) refuse(words, "ansible [--list|--host NAME]");
  const machine = (await inventoryMachines(session)).find((one) => one.name === name);
  // Ansible also calls this for hosts of other inventories, which have no variables here.
  return print(session, machine === undefined ? {} : hostVariables(machine, reach));
}

/** The inventory for Prometheus (file_sd_config), with the arguments `[--port=PORT] [FILE]`. */
async function prometheus(session: Session, words: readonly string[]): Promise<number> {
  const usage = "prometheus-sd [--port=PORT] [FILE]";
  let port = DEFAULT_PORT;
  let file: string | null = null;
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const value = word === "--port" ? rest.shift() : word.startsWith("--port=") ? word.slice(7) : undefined;
    if (value !== undefined) port = parsePort(value) ?? refuse([`--port=${value}`], usage);
    else if (word.startsWith("-") || file !== null) refuse(words, usage);
    else file = word;
  }
  const groups = targetGroups(await listed(session), port);
  if (file === null) return print(session, groups);
  replaceFile(file, `${JSON.stringify(groups, null, 2)}\n`);
  return 0;
}

/** The functions for the kinds of inventory. They take the words after the kind. */
const KINDS: Readonly<Record<string, (session: Session, words: readonly string[]) => Promise<number>>> = {
  ansible,
  "prometheus-sd": prometheus,
};

/** The verb `inventory`. */
export async function inventory(session: Session, [kind = "", ...words]: readonly string[]): Promise<number> {
  const make = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (make === undefined)
    throw new Failure(`Unknown inventory '${kind}': there are ${Object.keys(KINDS).join(" and ")}`);
  return make(session, words);
}
