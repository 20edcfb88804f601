// org.freedesktop.machine1 as of 262: manager, machine and image objects (org.freedesktop.machine1(5)).
// The rows are in the original's order, because introspection shows it.
import type { PolkitRule } from "./access.ts";
import { INSPECT_MACHINES_SINCE, REGISTRATION_RULES, TERMINAL_RULES } from "./shared-rules.ts";
import { defineBusInterface } from "./table.ts";

export const MACHINE1_NAME = "org.freedesktop.machine1";
export const MACHINE1_PATH = "/org/freedesktop/machine1";
export const MACHINE_PATH = "/org/freedesktop/machine1/machine";
export const IMAGE_PATH = "/org/freedesktop/machine1/image";

const MANAGE = "org.freedesktop.machine1.manage-machines";

function manage(verb: string, ...details: string[]): PolkitRule {
  return { action: MANAGE, subject: "machine", verb, details };
}

function manageOwn(verb: string): PolkitRule {
  return { ...manage(verb), owner: true };
}

function manageImage(verb: string, ...details: string[]): PolkitRule {
  return { action: "org.freedesktop.machine1.manage-images", subject: "image", verb, details };
}

const COPY = manage("copy", "src", "dest");
const BIND = manage("bind", "src", "dest");
/** The original passes the image's name in the detail `machine` here, and rules of administrators match on that. */
const SET_LIMIT: PolkitRule = { ...manageImage("set_limit"), subject: "machine" };
const GET_OS_RELEASE: PolkitRule = {
  action: "org.freedesktop.machine1.inspect-machines",
  since: INSPECT_MACHINES_SINCE,
  subject: "machine",
  verb: "get_os_release",
};
const OPEN_PTY: PolkitRule = TERMINAL_RULES.tty;
const OPEN_LOGIN: PolkitRule = TERMINAL_RULES.login;
/** Over D-Bus the details of a shell have no verb. */
const { verb: _, ...OPEN_SHELL } = TERMINAL_RULES.shell;
const CREATE: PolkitRule = REGISTRATION_RULES.create;
const REGISTER: PolkitRule = REGISTRATION_RULES.register;

export const Manager = defineBusInterface({
  name: "org.freedesktop.machine1.Manager",
  methods: {
    GetMachine: { in: { name: "s" }, out: { machine: "o" }, access: "everyone", doc: "The object path of a machine." },
    GetImage: { in: { name: "s" }, out: { image: "o" }, access: "everyone", doc: "The object path of an image." },
    GetMachineByPID: {
      in: { pid: "u" },
      out: { machine: "o" },
      access: "everyone",
      doc: "The machine that a process belongs to; 0 is the caller.",
    },
    ListMachines: {
      in: {},
      out: { machines: "a(ssso)" },
      access: "everyone",
      doc: "All machines: name, class, service, object path.",
    },
    ListImages: {
      in: {},
      out: { images: "a(ssbttto)" },
      access: "everyone",
      doc: "All images: name, type, read-only, creation and modification time, usage, object path.",
    },
    CreateMachine: {
      in: {
        name: "s",
        id: "ay",
        service: "s",
        class: "s",
        leader: "u",
        root_directory: "s",
        scope_properties: "a(sv)",
      },
      out: { path: "o" },
      access: CREATE,
      doc: "Registers a machine and moves its leader into a new scope.",
    },
    CreateMachineWithNetwork: {
      in: {
        name: "s",
        id: "ay",
        service: "s",
        class: "s",
        leader: "u",
        root_directory: "s",
        ifindices: "ai",
        scope_properties: "a(sv)",
      },
      out: { path: "o" },
      access: CREATE,
      doc: "CreateMachine, with the host's network interfaces of the machine.",
    },
    CreateMachineEx: {
      in: { name: "s", properties: "a(sv)", scope_properties: "a(sv)" },
      out: { path: "o" },
      access: CREATE,
      doc: "CreateMachine with extensible properties and pidfds.",
    },
    RegisterMachine: {
      in: { name: "s", id: "ay", service: "s", class: "s", leader: "u", root_directory: "s" },
      out: { path: "o" },
      access: REGISTER,
      doc: "Registers a machine that has a unit already.",
    },
    RegisterMachineWithNetwork: {
      in: { name: "s", id: "ay", service: "s", class: "s", leader: "u", root_directory: "s", ifindices: "ai" },
      out: { path: "o" },
      access: REGISTER,
      doc: "RegisterMachine, with the host's network interfaces of the machine.",
    },
    RegisterMachineEx: {
      in: { name: "s", properties: "a(sv)" },
      out: { path: "o" },
      access: REGISTER,
      doc: "RegisterMachine with extensible properties and pidfds.",
    },
    UnregisterMachine: {
      in: { name: "s" },
      out: {},
      access: manageOwn("unregister"),
      doc: "Removes a machine from the registry; its processes continue.",
    },
    TerminateMachine: {
      in: { id: "s" },
      out: {},
      access: manageOwn("terminate"),
      doc: "Ends a machine by stopping its unit.",
    },
    KillMachine: {
      in: { name: "s", whom: "s", signal: "i" },
      out: {},
      access: manageOwn("kill"),
      doc: "Sends a signal to a machine's leader, supervisor or all processes.",
    },
    GetMachineAddresses: {
      in: { name: "s" },
      out: { addresses: "a(iay)" },
      access: "everyone",
      doc: "The IP addresses of a machine: family and bytes.",
    },
    GetMachineSSHInfo: {
      in: { name: "s" },
      out: { ssh_address: "s", ssh_private_key_path: "s" },
      access: "everyone",
      doc: "The SSH destination of a machine, and the file of the private key.",
    },
    GetMachineOSRelease: {
      in: { name: "s" },
      out: { fields: "a{ss}" },
      access: GET_OS_RELEASE,
      doc: "The os-release(5) fields of a machine.",
    },
    OpenMachinePTY: {
      in: { name: "s" },
      out: { pty: "h", pty_path: "s" },
      access: OPEN_PTY,
      doc: "Opens a new pseudo TTY in a machine.",
    },
    OpenMachineLogin: {
      in: { name: "s" },
      out: { pty: "h", pty_path: "s" },
      access: OPEN_LOGIN,
      doc: "Opens a new pseudo TTY in a machine, with a login prompt on it.",
    },
    OpenMachineShell: {
      in: { name: "s", user: "s", path: "s", args: "as", environment: "as" },
      out: { pty: "h", pty_path: "s" },
      access: OPEN_SHELL,
      doc: "Runs a shell or program in a machine on a new pseudo TTY.",
    },
    BindMountMachine: {
      in: { name: "s", source: "s", destination: "s", read_only: "b", mkdir: "b" },
      out: {},
      access: BIND,
      doc: "Bind mounts a file or directory of the host into a machine.",
    },
    CopyFromMachine: {
      in: { name: "s", source: "s", destination: "s" },
      out: {},
      access: COPY,
      doc: "Copies files out of a machine.",
    },
    CopyToMachine: {
      in: { name: "s", source: "s", destination: "s" },
      out: {},
      access: COPY,
      doc: "Copies files into a machine.",
    },
    CopyFromMachineWithFlags: {
      in: { name: "s", source: "s", destination: "s", flags: "t" },
      out: {},
      access: COPY,
      doc: "CopyFromMachine; flag 1 replaces existing files.",
    },
    CopyToMachineWithFlags: {
      in: { name: "s", source: "s", destination: "s", flags: "t" },
      out: {},
      access: COPY,
      doc: "CopyToMachine; flag 1 replaces existing files.",
    },
    OpenMachineRootDirectory: {
      in: { name: "s" },
      out: { fd: "h" },
      access: manage("open_root_directory"),
      doc: "The root directory of a machine as a descriptor.",
    },
    GetMachineUIDShift: {
      in: { name: "s" },
      out: { shift: "u" },
      access: "everyone",
      doc: "The first host user of a machine's user namespace.",
    },
    RemoveImage: { in: { name: "s" }, out: {}, access: manageImage("remove"), doc: "Removes an image." },
    RenameImage: {
      in: { name: "s", new_name: "s" },
      out: {},
      access: manageImage("rename", "new_name"),
      doc: "Renames an image.",
    },
    CloneImage: {
      in: { name: "s", new_name: "s", read_only: "b" },
      out: {},
      access: manageImage("clone", "new_name"),
      doc: "Clones an image.",
    },
    MarkImageReadOnly: {
      in: { name: "s", read_only: "b" },
      out: {},
      access: manageImage("mark_read_only", "read_only"),
      doc: "Sets or clears an image's read-only mark.",
    },
    GetImageHostname: {
      in: { name: "s" },
      out: { hostname: "s" },
      access: "everyone",
      doc: "The host name an image is configured with.",
    },
    GetImageMachineID: {
      in: { name: "s" },
      out: { id: "ay" },
      access: "everyone",
      doc: "The machine id an image is configured with.",
    },
    GetImageMachineInfo: {
      in: { name: "s" },
      out: { machine_info: "a{ss}" },
      access: "everyone",
      doc: "The machine-info(5) fields of an image.",
    },
    GetImageOSRelease: {
      in: { name: "s" },
      out: { os_release: "a{ss}" },
      access: "everyone",
      doc: "The os-release(5) fields of an image.",
    },
    SetPoolLimit: {
      in: { size: "t" },
      out: {},
      access: { action: MANAGE, verb: "set_pool_limit" },
      doc: "Limits the space of all images together.",
    },
    SetImageLimit: { in: { name: "s", size: "t" }, out: {}, access: SET_LIMIT, doc: "Limits the space of an image." },
    CleanPool: {
      in: { mode: "s" },
      out: { images: "a(st)" },
      access: { action: MANAGE, verb: "clean_pool", details: ["mode"] },
      doc: "Removes hidden or all images; returns what was removed.",
    },
    MapFromMachineUser: {
      in: { name: "s", uid_inner: "u" },
      out: { uid_outer: "u" },
      access: "everyone",
      doc: "The host user to which a machine's user is mapped.",
    },
    MapToMachineUser: {
      in: { uid_outer: "u" },
      out: { machine_name: "s", machine_path: "o", uid_inner: "u" },
      access: "everyone",
      doc: "The machine and its user that are mapped to a host user.",
    },
    MapFromMachineGroup: {
      in: { name: "s", gid_inner: "u" },
      out: { gid_outer: "u" },
      access: "everyone",
      doc: "The host group to which a machine's group is mapped.",
    },
    MapToMachineGroup: {
      in: { gid_outer: "u" },
      out: { machine_name: "s", machine_path: "o", gid_inner: "u" },
      access: "everyone",
      doc: "The machine and its group that are mapped to a host group.",
    },
  },
  properties: {
    PoolPath: { type: "s", emits: "false", doc: "Directory that holds machine images." },
    PoolUsage: { type: "t", emits: "false", doc: "Bytes used by the pool; 2^64-1 where unknown." },
    PoolLimit: { type: "t", emits: "false", doc: "Limit of the pool in bytes; 2^64-1 for none." },
  },
  signals: {
    MachineNew: { args: { machine: "s", path: "o" }, doc: "A machine was registered." },
    MachineRemoved: { args: { machine: "s", path: "o" }, doc: "A machine is gone." },
  },
});

export const Machine = defineBusInterface({
  name: "org.freedesktop.machine1.Machine",
  methods: {
    Terminate: { in: {}, out: {}, access: manageOwn("terminate"), doc: "Ends a machine by stopping its unit." },
    Kill: {
      in: { whom: "s", signal: "i" },
      out: {},
      access: manageOwn("kill"),
      doc: "Sends a signal to a machine's leader, supervisor or all processes.",
    },
    GetAddresses: {
      in: {},
      out: { addresses: "a(iay)" },
      access: "everyone",
      doc: "The IP addresses of a machine: family and bytes.",
    },
    GetSSHInfo: {
      in: {},
      out: { ssh_address: "s", ssh_private_key_path: "s" },
      access: "everyone",
      doc: "The SSH destination of a machine, and the file of the private key.",
    },
    GetOSRelease: {
      in: {},
      out: { fields: "a{ss}" },
      access: GET_OS_RELEASE,
      doc: "The os-release(5) fields of a machine.",
    },
    GetUIDShift: {
      in: {},
      out: { shift: "u" },
      access: "everyone",
      doc: "The first host user of a machine's user namespace.",
    },
    OpenPTY: {
      in: {},
      out: { pty: "h", pty_path: "s" },
      access: OPEN_PTY,
      doc: "Opens a new pseudo TTY in a machine.",
    },
    OpenLogin: {
      in: {},
      out: { pty: "h", pty_path: "s" },
      access: OPEN_LOGIN,
      doc: "Opens a new pseudo TTY in a machine, with a login prompt on it.",
    },
    OpenShell: {
      in: { user: "s", path: "s", args: "as", environment: "as" },
      out: { pty: "h", pty_path: "s" },
      access: OPEN_SHELL,
      doc: "Runs a shell or program in a machine on a new pseudo TTY.",
    },
    BindMount: {
      in: { source: "s", destination: "s", read_only: "b", mkdir: "b" },
      out: {},
      access: BIND,
      doc: "Bind mounts a file or directory of the host into a machine.",
    },
    CopyFrom: { in: { source: "s", destination: "s" }, out: {}, access: COPY, doc: "Copies files out of a machine." },
    CopyTo: { in: { source: "s", destination: "s" }, out: {}, access: COPY, doc: "Copies files into a machine." },
    CopyFromWithFlags: {
      in: { source: "s", destination: "s", flags: "t" },
      out: {},
      access: COPY,
      doc: "CopyFromMachine; flag 1 replaces existing files.",
    },
    CopyToWithFlags: {
      in: { source: "s", destination: "s", flags: "t" },
      out: {},
      access: COPY,
      doc: "CopyToMachine; flag 1 replaces existing files.",
    },
    OpenRootDirectory: {
      in: {},
      out: { fd: "h" },
      access: manage("open_root_directory"),
      doc: "The root directory of a machine as a descriptor.",
    },
  },
  properties: {
    Name: { type: "s", emits: "const", doc: "The name of the machine." },
    Id: { type: "ay", emits: "const", doc: "128-bit id; empty for none." },
    Timestamp: { type: "t", emits: "const", doc: "When it was registered, in µs of the realtime clock." },
    TimestampMonotonic: { type: "t", emits: "const", doc: "When it was registered, in µs of the monotonic clock." },
    Service: { type: "s", emits: "const", doc: "The program that registered the machine, in its own words." },
    Unit: { type: "s", emits: "const", doc: "Unit that holds the leader." },
    Scope: { type: "s", emits: "const", hidden: true, doc: "Old name of Unit." },
    Subgroup: { type: "s", emits: "const", doc: "Cgroup of the leader below the unit." },
    Leader: { type: "u", emits: "const", doc: "PID of the machine's first process." },
    LeaderPIDFDId: { type: "t", emits: "const", doc: "Inode of the leader's pidfd." },
    Supervisor: { type: "u", emits: "const", doc: "PID of the process that runs the machine; 0 for none." },
    SupervisorPIDFDId: { type: "t", emits: "const", doc: "Inode of the supervisor's pidfd." },
    Class: { type: "s", emits: "const", doc: "container, vm or host." },
    RootDirectory: { type: "s", emits: "const", doc: "As passed at registration; not used." },
    NetworkInterfaces: {
      type: "ai",
      emits: "const",
      doc: "Indices of the host's network interfaces that lead to the machine.",
    },
    VSockCID: { type: "u", emits: "const", doc: "VSOCK address; 2^32-1 for none." },
    SSHAddress: { type: "s", emits: "const", doc: "ssh(1) destination; empty for none." },
    SSHPrivateKeyPath: { type: "s", emits: "const", doc: "Key to use with it; empty for none." },
    State: { type: "s", emits: "false", doc: "opening, running or closing." },
    UID: { type: "u", emits: "const", doc: "The user who registered the machine." },
  },
  signals: {},
});

export const Image = defineBusInterface({
  name: "org.freedesktop.machine1.Image",
  methods: {
    Remove: { in: {}, out: {}, access: manageImage("remove"), unnamed: true, doc: "Removes an image." },
    Rename: {
      in: { new_name: "s" },
      out: {},
      access: manageImage("rename", "new_name"),
      unnamed: true,
      doc: "Renames an image.",
    },
    Clone: {
      in: { new_name: "s", read_only: "b" },
      out: {},
      access: manageImage("clone", "new_name"),
      unnamed: true,
      doc: "Clones an image.",
    },
    MarkReadOnly: {
      in: { read_only: "b" },
      out: {},
      access: manageImage("mark_read_only", "read_only"),
      unnamed: true,
      doc: "Sets or clears an image's read-only mark.",
    },
    SetLimit: { in: { size: "t" }, out: {}, access: SET_LIMIT, unnamed: true, doc: "Limits the space of an image." },
    GetHostname: {
      in: {},
      out: { hostname: "s" },
      access: "everyone",
      unnamed: true,
      doc: "The host name an image is configured with.",
    },
    GetMachineID: {
      in: {},
      out: { id: "ay" },
      access: "everyone",
      unnamed: true,
      doc: "The machine id an image is configured with.",
    },
    GetMachineInfo: {
      in: {},
      out: { machine_info: "a{ss}" },
      access: "everyone",
      unnamed: true,
      doc: "The machine-info(5) fields of an image.",
    },
    GetOSRelease: {
      in: {},
      out: { os_release: "a{ss}" },
      access: "everyone",
      unnamed: true,
      doc: "The os-release(5) fields of an image.",
    },
  },
  properties: {
    Name: { type: "s", emits: "false", doc: "The name of the image." },
    Path: { type: "s", emits: "false", doc: "The path of the image." },
    Type: { type: "s", emits: "false", doc: "directory, subvolume, raw, block or mstack." },
    ReadOnly: { type: "b", emits: "false", doc: "Whether the image is read-only." },
    CreationTimestamp: { type: "t", emits: "false", doc: "In µs of the realtime clock; 0 where unknown." },
    ModificationTimestamp: { type: "t", emits: "false", doc: "In µs of the realtime clock; 0 where unknown." },
    Usage: { type: "t", emits: "false", doc: "Bytes; 2^64-1 where unknown." },
    Limit: { type: "t", emits: "false", doc: "Bytes; 2^64-1 for none." },
    UsageExclusive: { type: "t", emits: "false", doc: "Bytes that no other image shares; 2^64-1 where unknown." },
    LimitExclusive: { type: "t", emits: "false", doc: "Limit of UsageExclusive; 2^64-1 for none." },
  },
  signals: {},
});
