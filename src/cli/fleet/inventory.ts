// `machinectl --fleet inventory`: the machines of all hosts for Ansible and for Prometheus.
import { jsonWithoutControls } from "../../base/text/control-characters.ts";
import { DEFAULT_PORT, parsePort, reachableAddress, targetGroups } from "../../stats/targets.ts";
import { descriptionOf, sshHost, type Variables } from "../inventory/ansible.ts";
import { Failure } from "../session/failure.ts";
import { replaceFile } from "../session/replace-file.ts";
import type { Session } from "../session/session.ts";
import { finish } from "./asked.ts";
import { type FleetMachine, listFleet } from "./list.ts";
import { readingFleet } from "./open.ts";

/** How many machines a warning names. */
const MOST_NAMED = 10;

/** Returns the variables by which Ansible reaches a machine, through its host. */
function fleetHostVariables(machine: FleetMachine): Variables {
  const address = sshHost(reachableAddress(machine.addresses));
  return {
    machined_host: machine.host,
    ...descriptionOf(machine),
    ansible_connection: "ssh",
    ...(address === null ? {} : { ansible_host: address }),
    ansible_ssh_common_args: `-o ProxyJump=${machine.host}`,
  };
}

/** Returns the name of a group of Ansible, which has letters, digits and underscores. */
function groupOf(host: string): string {
  return `host_${host.replace(/[^A-Za-z0-9]/g, "_")}`;
}

/** Returns the output of `--list`: all machines as HOST/NAME, in a group for each class and one for each host. */
export function fleetInventory(machines: readonly FleetMachine[]): object {
  const groups = new Map<string, string[]>([
    ["containers", []],
    ["vms", []],
  ]);
  const add = (group: string, name: string) => {
    const names = groups.get(group) ?? [];
    groups.set(group, names);
    names.push(name);
  };
  for (const { host, name, class: className } of machines) {
    if (className === "container") add("containers", `${host}/${name}`);
    if (className === "vm") add("vms", `${host}/${name}`);
    add(groupOf(host), `${host}/${name}`);
  }
  const hostvars = machines.map((machine) => [`${machine.host}/${machine.name}`, fleetHostVariables(machine)]);
  return {
    _meta: { hostvars: Object.fromEntries(hostvars) },
    all: { children: [...groups.keys()] },
    ...Object.fromEntries([...groups].map(([group, hosts]) => [group, { hosts }])),
  };
}

/** Returns the targets of Prometheus, each with its host as a label. */
export function fleetTargets(machines: readonly FleetMachine[], port: number): object[] {
  return machines.flatMap((machine) =>
    targetGroups([machine], port).map(({ targets, labels }) => ({
      targets,
      labels: { host: machine.host, ...labels },
    })),
  );
}

function print(session: Session, value: unknown): number {
  session.output.write(`${jsonWithoutControls(JSON.stringify(value, null, 2))}\n`);
  return 0;
}

function refuse(usage: string): never {
  throw new Failure("Wrong arguments of the inventory", { hint: `Usage: machinectl --fleet inventory ${usage}` });
}

/** Says which machines Ansible has no way to: without an address it takes their names for addresses. */
function warn({ report }: Session, machines: readonly FleetMachine[]): void {
  const names = machines
    .filter(({ addresses }) => sshHost(reachableAddress(addresses)) === null)
    .map(({ host, name }) => `${host}/${name}`);
  if (names.length === 0) return;
  const shown = names.slice(0, MOST_NAMED).join(", ");
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} others` : "";
  report.warning(`Ansible cannot reach ${shown}${more} through their hosts: no address is known.`);
}

function ansible(session: Session, words: readonly string[], machines: readonly FleetMachine[]): number {
  const [option = "--list", name, ...rest] = words.flatMap((word) =>
    word.startsWith("--host=") ? ["--host", word.slice(7)] : [word],
  );
  if (option === "--list" && name === undefined) {
    warn(session, machines);
    return print(session, fleetInventory(machines));
  }
  if (option !== "--host" || name === undefined || rest.length > 0) refuse("ansible [--list|--host HOST/NAME]");
  const machine = machines.find((one) => `${one.host}/${one.name}` === name);
  return print(session, machine === undefined ? {} : fleetHostVariables(machine));
}

function prometheus(session: Session, words: readonly string[], machines: readonly FleetMachine[]): number {
  const usage = "prometheus-sd [--port=PORT] [FILE]";
  let port = DEFAULT_PORT;
  let file: string | null = null;
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const value = word === "--port" ? rest.shift() : word.startsWith("--port=") ? word.slice(7) : undefined;
    if (value !== undefined) port = parsePort(value) ?? refuse(usage);
    else if (word.startsWith("-") || file !== null) refuse(usage);
    else file = word;
  }
  const targets = fleetTargets(machines, port);
  if (file === null) return print(session, targets);
  replaceFile(file, `${JSON.stringify(targets, null, 2)}\n`);
  return 0;
}

/** The verb `inventory`. */
export async function inventory(session: Session, [kind = "", ...words]: readonly string[]): Promise<number> {
  const kinds = new Map([
    ["ansible", ansible],
    ["prometheus-sd", prometheus],
  ]);
  const make = kinds.get(kind);
  if (make === undefined) throw new Failure(`Unknown inventory '${kind}': there are ansible and prometheus-sd`);
  const { machines, failures } = await readingFleet(session, (fleet) => listFleet(session, fleet));
  // Programs that read an inventory without these machines would take them for ended ones.
  if (failures.length > 0) return finish(session, failures);
  return make(session, words, machines);
}
