// Machines as a dynamic inventory of Ansible (https://docs.ansible.com/ansible/latest/dev_guide/developing_inventory.html).
import { reachableAddress } from "../../stats/targets.ts";

/** A stand-in for ssh(1) that leads into containers of this host by `machinectl exec`. */
export const REMOTE_SHELL = "/usr/local/lib/machined/machined-rsh";

export interface InventoryMachine {
  readonly name: string;
  readonly class: string;
  readonly service: string;
  readonly os: string;
  readonly version: string;
  readonly addresses: readonly string[];
  /** Where a virtual machine was registered to be reached, and the key for that; "" for none. */
  readonly sshAddress: string;
  readonly sshPrivateKey: string;
}

/** How the machines are reached from here. */
export interface Reach {
  /** Whether there is `REMOTE_SHELL`. */
  readonly hasRemoteShell: boolean;
  /** The host that they are on, where it is another: `[USER@]HOST[:PORT]`. */
  readonly through: string | null;
}

type Variables = Readonly<Record<string, string | readonly string[]>>;

/** Variables that say how Ansible reaches a machine. */
function connection(machine: InventoryMachine, { hasRemoteShell, through }: Reach): Variables {
  if (machine.class === "container" && hasRemoteShell && through === null) {
    return {
      ansible_connection: "ssh",
      ansible_host: machine.name,
      ansible_ssh_executable: REMOTE_SHELL,
      // Neither sftp nor scp know the way.
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

/** What `--host NAME` answers. */
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

/** What `--list` answers: all machines, in a group for each class. */
export function inventoryOf(machines: readonly InventoryMachine[], reach: Reach): object {
  const named = (className: string) => machines.filter((one) => one.class === className).map(({ name }) => name);
  return {
    _meta: { hostvars: Object.fromEntries(machines.map((machine) => [machine.name, hostVariables(machine, reach)])) },
    all: { children: ["containers", "vms"] },
    containers: { hosts: named("container") },
    vms: { hosts: named("vm") },
  };
}
