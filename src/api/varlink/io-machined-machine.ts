// io.machined.Machine: calls that io.systemd.Machine does not have. Not part of systemd; on the daemon's Varlink
// socket.
import { defineVarlinkInterface } from "../varlink-table.ts";

export const IoMachinedMachine = defineVarlinkInterface({
  name: "io.machined.Machine",
  doc: "Machines whose processes are in no unit.",
  types: { MachineClass: ["container", "vm", "host"] },
  methods: {
    RegisterWithoutUnit: {
      in: {
        name: "string",
        class: "MachineClass",
        leader: "int",
        leaderPIDFDId: "?int",
        service: "?string",
        rootDirectory: "?string",
        vSockCid: "?int",
        sshAddress: "?string",
        sshPrivateKeyPath: "?string",
      },
      out: {},
      access: "privileged",
      doc: "Registers a machine whose leader is in a control group of its own that belongs to no unit, such as a container of lxc(7). Only root may do so. Terminating the machine kills all processes in this control group. io.systemd.Machine.Register refuses such a leader.",
    },
  },
  notes: {
    types: { MachineClass: "What a machine is." },
    fields: {
      container: "It shares the kernel of the host.",
      vm: "It has a kernel of its own.",
      host: "The host itself.",
      name: "The name of the new machine: a host name of at most 64 characters.",
      class: "What the machine is; host is refused.",
      leader: "The first process of the machine.",
      leaderPIDFDId:
        "The inode number of the leader's pidfd, which tells the leader from a later process with the same number.",
      service: "The program that manages the machine.",
      rootDirectory: "The directory of the host that is the root of the machine.",
      vSockCid: "The context ID of the machine for AF_VSOCK (vsock(7)).",
      sshAddress: "The destination by which ssh(1) reaches the machine.",
      sshPrivateKeyPath: "The file with the private key that ssh(1) needs for it.",
    },
    errors: {},
  },
  errors: {},
});
