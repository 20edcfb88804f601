// Makes a dynamic inventory for Ansible (https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html).
import { reachableAddress } from "../../stats/targets.ts";
import type { ListedMachine } from "../machine/columns.ts";

/** A machine of the inventory. */
export interface InventoryMachine extends Omit<ListedMachine, "extras"> {
  /** The ssh address that a virtual machine was registered with, and the path of its key; "" for none. */
  readonly sshAddress: string;
  readonly sshPrivateKey: string;
}

/** How Ansible on this host can reach the machines. */
export interface Reach {
  /**
   * The path of the program with the command line of ssh(1) that runs commands in containers of this host
   * (src/cli/exec/remote-shell.ts); null where it is not installed.
   */
  readonly remoteShell: string | null;
  /** The host of the machines, if it is another one: `[USER@]HOST[:PORT]`, an IPv6 address in brackets. */
  readonly through: string | null;
}

export type Variables = Readonly<Record<string, string | readonly string[]>>;

/**
 * Names that mean something else to Ansible: the host that it runs on, its groups, and the groups of this inventory. A
 * machine of that name would take its place in every play.
 */
const OTHER_MEANINGS: ReadonlySet<string> = new Set([
  "localhost",
  "127.0.0.1",
  "all",
  "ungrouped",
  "containers",
  "vms",
]);

/** Returns whether Ansible takes the name of a machine for that machine. */
export function isUnmistakable(name: string): boolean {
  return !OTHER_MEANINGS.has(name);
}

/** What ssh(1) takes as a host: a name, an address, `vsock/CID`. Not an option, nor a template of Ansible. */
const SSH_HOST = /^[A-Za-z0-9_[:][\w.:%@/[\]-]*$/;
/** Ansible puts the path between quotation marks. */
const KEY_PATH = /^\/[^"{}]*$/;

/**
 * Returns a text as the value of a variable; "" where it has a brace. Ansible evaluates templates in values, and a
 * template runs any program on the host of Ansible: no text of a machine, its owner or another host may be one.
 */
function plain(text: string): string {
  return /[{}]/.test(text) ? "" : text;
}

/** Returns the variables that describe a machine. */
export function descriptionOf(
  machine: Pick<InventoryMachine, "class" | "service" | "os" | "version" | "addresses">,
): Variables {
  return {
    machined_class: plain(machine.class),
    machined_service: plain(machine.service),
    machined_os: plain(machine.os),
    machined_os_version: plain(machine.version),
    machined_addresses: machine.addresses.filter((address) => SSH_HOST.test(address)),
  };
}

/** Returns an address that ssh(1) may be called with; null for none. */
export function sshHost(address: string | null): string | null {
  return address !== null && SSH_HOST.test(address) ? address : null;
}

/** Returns a host in the form of ProxyJump= (ssh_config(5)). */
export function jumpHost({ host, port }: { readonly host: string; readonly port?: string | undefined }): string {
  const [, user = "", name = ""] = /^(.*@)?(.*)$/s.exec(host) ?? [];
  return `${user}${name.includes(":") ? `[${name}]` : name}${port === undefined ? "" : `:${port}`}`;
}

/** Returns the variables by which Ansible connects to a machine. */
function connection(machine: InventoryMachine, { remoteShell, through }: Reach): Variables {
  if (machine.class === "container" && remoteShell !== null && through === null) {
    return {
      ansible_connection: "ssh",
      ansible_host: machine.name,
      ansible_ssh_executable: remoteShell,
      // sftp and scp would not use that program.
      ansible_ssh_transfer_method: "piped",
    };
  }
  const address = sshHost(machine.sshAddress) ?? sshHost(reachableAddress(machine.addresses));
  return {
    ansible_connection: "ssh",
    ...(address === null ? {} : { ansible_host: address }),
    ...(through === null && KEY_PATH.test(machine.sshPrivateKey)
      ? { ansible_ssh_private_key_file: machine.sshPrivateKey }
      : {}),
    ...(through === null ? {} : { ansible_ssh_common_args: `-o ProxyJump=${through}` }),
  };
}

/** Whether the inventory says how Ansible reaches the machine. */
export function isReachable(machine: InventoryMachine, reach: Reach): boolean {
  return "ansible_host" in connection(machine, reach);
}

/** Returns the output of `--host NAME`: the variables of one machine. */
export function hostVariables(machine: InventoryMachine, reach: Reach): Variables {
  return { ...descriptionOf(machine), ...connection(machine, reach) };
}

/** Returns the output of `--list`: all machines, in a group for each class. */
export function inventoryOf(machines: readonly InventoryMachine[], reach: Reach): object {
  const named = (className: string) => machines.filter((one) => one.class === className).map(({ name }) => name);
  return {
    _meta: { hostvars: Object.fromEntries(machines.map((machine) => [machine.name, hostVariables(machine, reach)])) },
    all: { children: ["containers", "vms"] },
    containers: { hosts: named("container") },
    vms: { hosts: named("vm") },
  };
}
