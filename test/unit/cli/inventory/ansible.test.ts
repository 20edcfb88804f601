// The variables that tell Ansible how to reach machines.
import { expect, test } from "bun:test";
import {
  hostVariables,
  type InventoryMachine,
  inventoryOf,
  isReachable,
  jumpHost,
} from "../../../../src/cli/inventory/ansible.ts";
import { parseRemote } from "../../../../src/cli/session/target.ts";

const WEB: InventoryMachine = {
  name: "web",
  class: "container",
  service: "systemd-nspawn",
  os: "debian",
  version: "12",
  addresses: ["fe80::1", "10.0.0.2"],
  sshAddress: "",
  sshPrivateKey: "",
};
const VM: InventoryMachine = {
  ...WEB,
  name: "vm",
  class: "vm",
  addresses: [],
  sshAddress: "vsock/42",
  sshPrivateKey: "/key",
};
const HERE = { remoteShell: "/usr/lib/machined/machined-rsh", through: null };

test("a container of this host is reached without ssh, a virtual machine at its address with its key", () => {
  expect(inventoryOf([WEB, VM], HERE)).toEqual({
    _meta: {
      hostvars: {
        web: {
          machined_class: "container",
          machined_service: "systemd-nspawn",
          machined_os: "debian",
          machined_os_version: "12",
          machined_addresses: ["fe80::1", "10.0.0.2"],
          ansible_connection: "ssh",
          ansible_host: "web",
          ansible_ssh_executable: "/usr/lib/machined/machined-rsh",
          ansible_ssh_transfer_method: "piped",
        },
        vm: {
          machined_class: "vm",
          machined_service: "systemd-nspawn",
          machined_os: "debian",
          machined_os_version: "12",
          machined_addresses: [],
          ansible_connection: "ssh",
          ansible_host: "vsock/42",
          ansible_ssh_private_key_file: "/key",
        },
      },
    },
    all: { children: ["containers", "vms"] },
    containers: { hosts: ["web"] },
    vms: { hosts: ["vm"] },
  });
});

test("a container is reached at its address where machined's ssh program is missing, and on another host", () => {
  expect(hostVariables(WEB, { remoteShell: null, through: null })).toMatchObject({ ansible_host: "10.0.0.2" });
  const far = hostVariables(WEB, { remoteShell: "/usr/lib/machined/machined-rsh", through: "admin@big:2222" });
  expect(far).toMatchObject({ ansible_host: "10.0.0.2", ansible_ssh_common_args: "-o ProxyJump=admin@big:2222" });
  expect(far).not.toHaveProperty("ansible_ssh_executable");
});

test("ssh jumps over a host that -H names by its IPv6 address", () => {
  const jumps = ["big", "admin@big:2222", "[2001:db8::1]", "admin@[2001:db8::1]:2222"];
  expect(jumps.map((text) => jumpHost(parseRemote(text) as Parameters<typeof jumpHost>[0]))).toEqual(jumps);
});

test("the path of a key on another host is left out, and so is the address of a machine that has none", () => {
  const far = hostVariables(VM, { remoteShell: null, through: "big" });
  expect(far).not.toHaveProperty("ansible_ssh_private_key_file");
  expect(hostVariables({ ...VM, sshAddress: "" }, HERE)).not.toHaveProperty("ansible_host");
});

test("a machine without an address is reachable only if it is a container of this host", () => {
  const there = { remoteShell: null, through: "a" };
  const plain = { ...WEB, addresses: [] };
  expect([isReachable(plain, HERE), isReachable(plain, there), isReachable(WEB, there)]).toEqual([true, false, true]);
  expect(isReachable({ ...plain, addresses: ["fe80::1"] }, there)).toBeFalse();
  expect(isReachable({ ...VM, sshAddress: "" }, HERE)).toBeFalse();
  expect(hostVariables(plain, there)).not.toHaveProperty("ansible_host");
});

test("text of a machine or its owner is never evaluated as a template of Ansible or an option of ssh", () => {
  const template = "{{ lookup('pipe', 'id') }}";
  const hostile = {
    ...{ class: "vm", service: template, os: "{% raw %}", version: "{# x", addresses: [template, "10.0.0.9", "-oX=y"] },
    ...{ name: "m", sshAddress: template, sshPrivateKey: `/${template}` },
  };
  const variables = hostVariables(hostile, HERE);
  expect(JSON.stringify(variables)).not.toMatch(/[{%#][{%#]/);
  expect(variables).toEqual({
    ...{ machined_class: "vm", machined_service: "", machined_os: "", machined_os_version: "" },
    ...{ machined_addresses: ["10.0.0.9"], ansible_connection: "ssh" },
  });
  for (const sshAddress of ["-oProxyCommand=id", "a b", "$(id)", "{x"]) {
    expect(isReachable({ ...VM, sshAddress }, HERE)).toBe(false);
  }
  for (const sshAddress of ["vsock/42", "root@web.example", "[fe80::1%eth0]", "::1", "unix/run/x"]) {
    expect(hostVariables({ ...VM, sshAddress }, HERE)).toMatchObject({ ansible_host: sshAddress });
  }
  for (const sshPrivateKey of ['/a" -oX=y', "key", "/{{x}}"]) {
    expect(hostVariables({ ...VM, sshPrivateKey }, HERE)).not.toHaveProperty("ansible_ssh_private_key_file");
  }
});
