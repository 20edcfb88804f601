// Makes a dynamic inventory for Ansible (https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html).
import { reachableAddress } from "../../stats/targets.ts";

/**
 * A program with the command line of ssh(1) that runs commands in containers of this host
 * (src/cli/exec/remote-shell.ts).
 */
export const REMOTE_SHELL = "/usr/local/lib/machined/machined-rsh";

/** A machine of the inventory. */
export interface InventoryMachine {
  readonly name: string;
  readonly class: string;
  readonly service: string;
  readonly os: string;
  readonly version: string;
  readonly addresses: readonly string[];
  /** The ssh address that a virtual machine was registered with, and the path of its key; "" for none. */
  readonly sshAddress: string;
  readonly sshPrivateKey: string;
}

/** How Ansible on this host can reach the machines. */
export interface Reach {
  /** Whether `REMOTE_SHELL` is installed. */
  readonly hasRemoteShell: boolean;
  /** The host of the machines, if it is another one: `[USER@]HOST[:PORT]`. */
  readonly through: string | null;
}

type Variables = Readonly<Record<string, string | readonly string[]>>;

/** Returns the variables by which Ansible connects to a machine. */
function connection(machine: InventoryMachine, { hasRemoteShell, through }: Reach): Variables {
  if (machine.class === "container" && hasRemoteShell && through === null) {
    return {
      ansible_connection: "ssh",
      ansible_host: machine.name,
      ansible_ssh_executable: REMOTE_SHELL,
      // sftp and scp would not use REMOTE_SHELL.
      ansible_ssh_transfer_method: "piped",
    };
  }
  const address = machine.sshAddress || reachableAddress(machine.addresses);
  return {
    ansible_connection: "ssh",
    ...(address === null ? {} : { ansible_host: address }),
    ...(machine.sshPrivateKey === "" || through !== null
      ? {}
      : { ansible_ssh_private_key_file: machine.sshPrivateKey }),
    ...(through === null ? {} : { ansible_ssh_common_args: `-o ProxyJump=${through}` }),
  };
}

/** Whether the inventory says how Ansible reaches the machine. */
export function isReachable(machine: InventoryMachine, reach: Reach): boolean {
  return "ansible_host" in connection(machine, reach);
}

/** Returns the output of `--host NAME`: the variables of one machine. */
export function hostVariables(machine: InventoryMachine, reach: Reach): Variables {
  return {
    machined_class: machine.class,
    machined_service: machine.service,
    machined_os: machine.os,
    machined_os_version: machine.version,
    machined_addresses: machine.addresses,
    ...connection(machine, reach),
  };
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
