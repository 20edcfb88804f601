// The import rules: which folders of src and which rooms in them may import which others, and the packages that only
// some files may import. The rules in biome.json and the table in docs/architecture.md are generated from here (`npm
// run docs`).

/** A folder of src. */
interface Folder {
  /** Its contents, for docs/architecture.md. */
  readonly holds: string;
  /** The other folders that it may import. */
  readonly folders: readonly string[];
  /** Its rooms, each with the rooms of the same folder that it may import; files outside of rooms may import all. */
  readonly rooms: Readonly<Record<string, readonly string[]>>;
}

const SERVICE = ["base", "api", "kernel", "registry", "ipc", "daemon"];

/** The folders, the lowest first: each may import only folders that precede it. */
const FOLDERS: Readonly<Record<string, Folder>> = {
  base: {
    holds: "names, ids, errors, texts and formats: pure values",
    folders: [],
    rooms: { text: [], vocabulary: ["text"] },
  },
  api: {
    holds: "the interfaces as tables: one row for each method, property and error",
    folders: ["base"],
    rooms: { varlink: [] },
  },
  kernel: {
    holds: "every system call; the only user of `bun:ffi`",
    folders: ["base"],
    rooms: {
      syscall: [],
      file: ["syscall"],
      event: ["syscall", "file"],
      process: ["syscall", "file", "event"],
      cgroup: ["syscall", "file", "event", "process"],
      terminal: ["syscall", "file"],
      socket: ["syscall", "file", "event", "process"],
      mount: ["syscall", "file", "process"],
      tree: ["syscall", "file", "process"],
    },
  },
  registry: {
    holds: "machines, images, their files and life; knows neither D-Bus nor Varlink",
    folders: ["base", "kernel"],
    rooms: { machine: [], image: [] },
  },
  oci: {
    holds: "references to container images, and the passwords for their registries, for the client and the workers",
    folders: ["base", "kernel"],
    rooms: {},
  },
  stats: { holds: "what machines use, and how it is written for Prometheus", folders: ["base", "kernel"], rooms: {} },
  ipc: {
    holds: "D-Bus, Varlink and HTTP: clients, servers, who called",
    folders: ["base", "kernel", "api"],
    rooms: { message: [], bus: ["message"], plain: ["message", "bus"], varlink: ["bus"], http: [] },
  },
  fleet: {
    holds: "many hosts behind a NATS server: names, records, requests, settings, the connection",
    folders: ["base"],
    rooms: {},
  },
  daemon: {
    holds: "what both daemons share: service shell, command line, sockets, object tree, polkit, log, idle exit",
    folders: ["base", "api", "kernel", "ipc"],
    rooms: { permission: [] },
  },
  machined: {
    holds: "the daemon of machines: actions, and the bindings that map calls to them",
    folders: [...SERVICE, "stats"],
    rooms: {
      action: [],
      events: [],
      inside: ["action"],
      machines: ["action", "inside"],
      images: ["action", "machines"],
      names: ["action", "machines"],
      stats: ["action"],
    },
  },
  importd: { holds: "the daemon of transfers", folders: SERVICE, rooms: {} },
  worker: {
    holds:
      "work in processes of its own, because it takes long or must be isolated: clone, remove, pull, import, export",
    folders: ["base", "kernel", "registry", "oci"],
    rooms: {
      program: [],
      stream: ["program"],
      tar: ["program", "stream"],
      untar: ["program", "stream", "tar"],
      image: ["program", "stream", "tar", "untar"],
      download: ["program", "stream", "tar", "untar", "image"],
      verify: ["program", "download"],
      oci: ["program", "stream", "tar", "untar", "image", "download"],
      transfer: ["program", "stream", "tar", "untar", "image", "download", "verify", "oci"],
      operations: [],
    },
  },
  exec: { holds: "running a command inside a machine", folders: ["base", "kernel", "registry"], rooms: {} },
  execd: {
    holds: "the service that runs commands in machines for callers that are not root",
    folders: [...SERVICE, "exec"],
    rooms: {},
  },
  fleetd: {
    holds: "the agent of a host: its records, its events, its answers to requests",
    folders: ["base", "kernel", "api", "ipc", "daemon", "fleet"],
    rooms: {},
  },
  setup: {
    holds: "`machined install` and `uninstall`",
    folders: ["base", "kernel"],
    rooms: { init: [], layout: ["init"], takeover: ["layout"] },
  },
  cli: {
    holds: "`machinectl` and `importctl`",
    folders: ["base", "kernel", "api", "ipc", "exec", "stats", "fleet", "oci", "setup"],
    rooms: {
      format: [],
      local: ["format"],
      session: ["format", "local"],
      "command-line": ["format", "local", "session"],
      unit: ["format", "local", "session"],
      list: ["format", "local", "session", "command-line"],
      machine: ["format", "local", "session", "unit", "list"],
      image: ["format", "local", "session", "unit", "list", "machine"],
      terminal: ["format", "local", "session"],
      exec: ["format", "local", "session", "machine", "terminal"],
      logs: ["format", "local", "session", "machine"],
      stats: ["format", "local", "session", "list", "machine", "terminal"],
      events: ["format", "list", "local", "session", "machine"],
      inventory: ["format", "local", "session", "machine"],
      transfer: ["format", "local", "session", "list"],
      doctor: ["format", "local", "session", "unit", "machine"],
      run: ["format", "local", "session", "unit", "list", "machine", "image", "terminal", "exec", "transfer"],
      hosts: ["format", "local", "session", "command-line", "list", "exec"],
      fleet: [
        "format",
        "local",
        "session",
        "command-line",
        "list",
        "machine",
        "stats",
        "events",
        "inventory",
        "exec",
        "hosts",
      ],
      program: [
        "format",
        "local",
        "session",
        "command-line",
        "list",
        "unit",
        "machine",
        "image",
        "terminal",
        "exec",
        "logs",
        "stats",
        "events",
        "inventory",
        "transfer",
        "doctor",
        "run",
        "hosts",
        "fleet",
      ],
    },
  },
  nss: {
    holds: "names and users of machines for scripts, and the module for the C library",
    folders: SERVICE,
    rooms: {},
  },
  bridge: {
    holds: "`machined bridge`: a message bus with one client, for `-H` to hosts without a bus",
    folders: ["base", "api", "kernel", "ipc"],
    rooms: {},
  },
};

/** A package that only some files may import. */
interface RestrictedPackage {
  readonly module: string;
  /** The files that may import it, as patterns of paths below src. */
  readonly files: readonly string[];
  /** The message of lint for other files. */
  readonly message: string;
}

/** The contents of rooms, for docs/architecture.md. */
const ROOMS: Readonly<Record<string, string>> = {
  "base/text": "reading and writing texts: numbers and times, JSON, env files, patterns, help, control characters",
  "base/vocabulary": "the words of the interfaces, one table each: classes, formats, transfers, versions",
  "api/varlink": "the Varlink interfaces: io.systemd.* and io.machined.*",
  "kernel/syscall": "the entry to the kernel, pinned memory, error and call numbers",
  "kernel/file": "descriptors, opening below a root, status, attributes, locks",
  "kernel/event": "the poller and inotify",
  "kernel/process": "pidfds, namespaces, users, starting this executable again",
  "kernel/cgroup": "control groups: their files, members and usage",
  "kernel/terminal": "pseudo terminals",
  "kernel/socket": "unix sockets with descriptors, netlink, sd_notify",
  "kernel/mount": "mounts as descriptors, loop devices, partition tables",
  "kernel/tree": "trees of files: copying, merging, removing, btrfs subvolumes and quota",
  "registry/machine": "the set of machines, their facts, state files, addresses and id maps",
  "registry/image": "images: search, versions, locks, changes, the pool",
  "ipc/message": "D-Bus messages as bytes: signatures, values, headers",
  "ipc/bus": "D-Bus: streams of messages, client and server",
  "ipc/plain": "D-Bus for programs that make a few calls and end, without dbus-next",
  "ipc/varlink": "Varlink: frames, schemas, client and server",
  "ipc/http": "HTTP: a small strict server",
  "daemon/permission": "who may do what: the checks of a row, and polkit, which makes them",
  "machined/action": "how an action is carried out: plan, permission, repeated check",
  "machined/events": "the log of events, its readers, and its file",
  "machined/machines": "registering, describing and ending machines",
  "machined/inside": "terminals, shells, copies and mounts in machines",
  "machined/images": "images of the pool",
  "machined/names": "names and users of machines for the host: NSS, resolved, userdb",
  "machined/stats": "what machines use, for Varlink and Prometheus",
  "worker/program": "command lines, log, progress, budget and end of a worker",
  "worker/stream": "chunks and their compression",
  "worker/tar": "reading and writing tar archives",
  "worker/untar": "unpacking tar archives into trees",
  "worker/image": "from a temporary name to an image: stages, disk formats",
  "worker/download": "HTTP, resuming",
  "worker/verify": "checksums of downloads, and the signatures over them",
  "worker/oci": "registries, manifests and layers of container images",
  "worker/transfer": "systemd-pull, systemd-import, systemd-import-fs, systemd-export",
  "worker/operations": "machined's operations: clone, remove, copy, bind",
  "cli/format": "tables, JSON, sizes, times, what the terminal can show",
  "cli/local": "files, names and processes of this host, for clients",
  "cli/session": "one run of a client: settings, connections, output, helper programs",
  "cli/command-line": "options and verbs as rows, and their parser",
  "cli/list": "columns of lists: which are shown, in which order, of which rows, in which form",
  "cli/unit": "units and their processes, queried from the service manager",
  "cli/machine": "the verbs about machines",
  "cli/image": "the verbs about images",
  "cli/terminal": "login and shell",
  "cli/exec": "exec: here, in virtual machines, on other hosts",
  "cli/logs": "logs: where the log of a machine is, and journalctl as a child",
  "cli/stats": "stats, top and metrics: what machines use",
  "cli/events": "events: read from the log of the daemon, or from signals",
  "cli/inventory": "inventory: the machines for Ansible and Prometheus",
  "cli/transfer": "the verbs about transfers",
  "cli/doctor": "doctor: facts about a host or a machine, and checks of them",
  "cli/run": "run: how an image is found or pulled, the unit that runs it, and the process in that unit",
  "cli/hosts": "a verb on several hosts: one run for each, one output of all",
  "cli/fleet": "a verb on the hosts behind a NATS server",
  "cli/program": "machinectl and importctl: tables of verbs and options, help",
  "setup/layout": "which files each part of the installation has, and where",
  "setup/takeover": "how the parts of systemd hand over to ours and back, on hosts that run systemd",
  "setup/init": "inits other than systemd: detection, the files of a service, its start and end",
};

const RESTRICTED_PACKAGES: readonly RestrictedPackage[] = [
  { module: "bun:ffi", files: ["kernel/**"], message: "Only src/kernel reaches the kernel through FFI" },
  {
    module: "dbus-next",
    files: ["ipc/bus/connection.ts", "ipc/bus/dbus-next.d.ts"],
    message: "Only ipc/bus/connection.ts uses dbus-next",
  },
  { module: "citty", files: ["cli/**"], message: "Only src/cli uses citty" },
  {
    module: "@nats-io/transport-node",
    files: ["fleet/**", "fleetd/**", "cli/fleet/exec.ts"],
    message: "Only the fleet uses NATS, and loads it when it runs",
  },
  { module: "consola", files: ["base/log.ts"], message: "Only base/log.ts uses consola" },
];

/** Modules that base and api must not import, because these folders contain pure values only. */
const IMPURE = ["bun", "node:fs", "node:child_process", "node:net"];
const PURE_FOLDERS = ["base", "api"];

/** Functions that workers must not use, because their files may have been made by any user. */
const WORKER_FILES = {
  importNames: ["readFileSync", "existsSync", "createReadStream"],
  message: "Files may be fifos, devices, links, or never answer: kernel/file/foreign-file.ts reads them",
};

/** The message for a module that must not be imported, or for some of its exports. */
type Refusal = string | { readonly importNames: readonly string[]; readonly message: string };

/** The import rules of some files. */
interface Restriction {
  /** Patterns of the paths of these files. */
  readonly includes: readonly string[];
  /** Patterns of paths that must not be imported, with the message. */
  readonly patterns: readonly { readonly group: readonly string[]; readonly message: string }[];
  /** Modules that must not be imported. */
  readonly paths: Readonly<Record<string, Refusal>>;
}

function others(names: readonly string[], allowed: readonly string[]): string[] {
  return names.filter((name) => !allowed.includes(name));
}

/** Returns the modules that a folder must not import. */
function restrictedModules(folder: string): Record<string, Refusal> {
  const closed = RESTRICTED_PACKAGES.filter(({ files }) => !files.includes(`${folder}/**`));
  const impure = PURE_FOLDERS.includes(folder)
    ? IMPURE.map((module) => [module, `src/${folder} holds values only`])
    : [];
  return {
    ...Object.fromEntries([...closed.map(({ module, message }) => [module, message]), ...impure]),
    ...(folder === "worker" ? { "node:fs": WORKER_FILES } : {}),
  };
}

/** Returns the same as patterns, for files of these packages that could be imported by their own paths. */
function restrictedPaths(paths: Readonly<Record<string, Refusal>>): Restriction["patterns"] {
  return RESTRICTED_PACKAGES.filter(({ module }) => Object.hasOwn(paths, module) && !module.includes(":")).map(
    ({ module, message }) => {
      return { group: [`${module}/**`], message };
    },
  );
}

/** Returns the rules of one folder: for its files outside of rooms, and for each room. */
function restrictionsOf(folder: string): Restriction[] {
  const { folders, rooms } = FOLDERS[folder] as Folder;
  const closed = others(Object.keys(FOLDERS), [folder, ...folders]);
  const message = `src/${folder} may import ${folders.join(", ") || "nothing of ours"} (docs/architecture.md)`;
  const paths = restrictedModules(folder);
  const up = (levels: string) => ({ group: closed.map((name) => `${levels}${name}/**`), message });
  const restricted = restrictedPaths(paths);
  const beside: Restriction = { includes: [`src/${folder}/*`], patterns: [up("../"), ...restricted], paths };
  const inside = Object.entries(rooms).map(([room, allowed]): Restriction => {
    const refused = others(Object.keys(rooms), [room, ...allowed]).map((name) => `../${name}/**`);
    return {
      includes: [`src/${folder}/${room}/**`],
      patterns: [
        up("../../"),
        ...(refused.length === 0
          ? []
          : [
              {
                group: refused,
                message: `src/${folder}/${room} may import ${allowed.join(", ") || "no other room"} of src/${folder}`,
              },
            ]),
        ...restricted,
      ],
      paths,
    };
  });
  return [beside, ...inside];
}

/** Returns the rules of single files that may import a restricted package: those of their room without that package. */
function exceptions(all: readonly Restriction[]): Restriction[] {
  return RESTRICTED_PACKAGES.flatMap(({ module, files }) =>
    files
      .filter((file) => !file.endsWith("/**"))
      .flatMap((file) => {
        const folder = `src/${file.slice(0, file.lastIndexOf("/"))}`;
        const room = all.find(({ includes }) => includes[0] === `${folder}/**` || includes[0] === `${folder}/*`);
        if (room === undefined) return [];
        const paths = Object.fromEntries(Object.entries(room.paths).filter(([name]) => name !== module));
        const patterns = room.patterns.filter(({ group }) => !group.includes(`${module}/**`));
        return [{ includes: [`src/${file}`], patterns, paths }];
      }),
  );
}

/** Returns the rules as overrides of biome.json. Later ones take precedence, so those of single files come last. */
export function lintOverrides(): object[] {
  const rooms = Object.keys(FOLDERS).flatMap(restrictionsOf);
  return [...rooms, ...exceptions(rooms)].map(({ includes, patterns, paths }) => ({
    includes,
    linter: {
      rules: {
        style: {
          noRestrictedImports: {
            level: "error",
            options: { paths, patterns: patterns.filter(({ group }) => group.length > 0) },
          },
        },
      },
    },
  }));
}

/** Returns the contents of a room. Throws for a room without a description. */
function describedRoom(room: string): string {
  const holds = ROOMS[room];
  if (holds === undefined) throw new Error(`The room src/${room} has no description: add it to ROOMS in layers.ts`);
  return holds;
}

/** Returns the rows of the table of folders for docs/architecture.md. */
export function foldersTable(): string[][] {
  return Object.entries(FOLDERS).flatMap(([name, { holds, folders, rooms }]) => [
    [`\`src/${name}\``, holds, folders.map((folder) => `\`${folder}\``).join(", ") || "nothing of ours"],
    ...Object.entries(rooms).map(([room, allowed]) => [
      `\`src/${name}/${room}\``,
      describedRoom(`${name}/${room}`),
      allowed.map((other) => `\`${other}\``).join(", ") || "no other room",
    ]),
  ]);
}
