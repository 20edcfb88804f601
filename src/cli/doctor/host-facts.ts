// The facts that the checks of a host need. Types only: gather-*.ts gather the values, and tests make them by hand.
// "Ours" are programs of this project, "stock" those of the distribution.

/** The user, and how this program is called on the host. */
export interface CallerFacts {
  readonly isRoot: boolean;
  /** The shell words that run `machined` on this host. */
  readonly machined: string;
  /** Whether `machined install` was run. */
  readonly isInstalled: boolean;
}

/** The message bus of the system. */
export interface BusFacts {
  /** Why it does not answer; null if it does. */
  readonly failure: string | null;
  /** Whether it accepts connections but does not answer in time. */
  readonly isSilent: boolean;
  /** Whether the host should have a bus: its socket exists, or systemd and the bus's configuration do. */
  readonly isExpected: boolean;
}

/** What doctor can advise to start again. */
type Restartable = "machined" | "importd" | "bus";

/**
 * How services are started again on a host whose init is not systemd: shell words, null for a service that the init
 * does not have.
 */
export type RestartFacts = Readonly<Record<Restartable, string | null>>;

/** The load state of all units if systemd is not process 1. */
export const NO_SYSTEMD = "no-systemd";

/** The states of a unit (org.freedesktop.systemd1(5)). */
export interface UnitFacts {
  /** `loaded`, `not-found`, `masked`, …; or `NO_SYSTEMD`. */
  readonly load: string;
  /** `active`, `inactive`, `failed`, … */
  readonly active: string;
  /** `enabled`, `disabled`, `static`, … */
  readonly enabled: string;
}

/** The units that are checked. */
export const UNITS = {
  machined: "systemd-machined.service",
  importd: "systemd-importd.service",
  importSocket: "systemd-importd.socket",
  execSocket: "machined-exec.socket",
  networkd: "systemd-networkd.service",
  polkit: "polkit.service",
} as const;

/** The name of a checked unit in the facts. */
export type UnitKey = keyof typeof UNITS;

/** The process that owns the bus name of a daemon. */
export interface OwnerFacts {
  readonly pid: number;
  readonly program: "ours" | "stock" | "other";
  readonly path: string;
  /** Whether its executable was replaced or removed since its start. */
  readonly isReplaced: boolean;
}

/** One of the two daemons. */
export interface DaemonFacts {
  /** Null if no process owns the bus name. */
  readonly owner: OwnerFacts | null;
  /** Whether the owner answers; true without an owner. */
  readonly answers: boolean;
  /** Whether the bus broker starts the daemon when it is called. */
  readonly isActivatable: boolean;
  /** The main process of its unit; 0 for none. */
  readonly mainPid: number;
  /** The program that its unit starts; null without a unit. */
  readonly starts: Pick<OwnerFacts, "path" | "program"> | null;
  /** Whether the unit has MemoryDenyWriteExecute=yes, with which programs of this project cannot run. */
  readonly forbidsExecutableMemory: boolean;
}

/** The private D-Bus socket of systemd-machined, for hosts without a bus. */
export interface PrivateSocketFacts {
  readonly answers: boolean;
}

/** Which machinectl a shell and cron find. */
export interface PathFacts {
  /** All files named machinectl in the directories of PATH, in its order. */
  readonly found: readonly { readonly path: string; readonly isOurs: boolean }[];
  /** Whether ours is in /usr/local/bin, which PATH may lack. A package has none there after `machined uninstall`. */
  readonly isLinked: boolean;
  /** Lines of the caller's crontab that call machinectl or importctl by name and are not preceded by a PATH. */
  readonly cronLines: readonly string[];
}

/** The control group file system. */
export interface CgroupFacts {
  readonly version: 1 | 2;
  /** Names of controllers that are not available. */
  readonly missing: readonly string[];
}

/** Features of the kernel. */
export interface KernelFacts {
  readonly release: string;
  /** Required features that it lacks. */
  readonly missing: readonly string[];
  /** Optional features that it lacks. */
  readonly lesser: readonly string[];
}

/** The configuration of name lookups in the C library. */
export interface NssFacts {
  /** Databases of nsswitch.conf whose line is missing or does not name the module. */
  readonly without: readonly string[];
  /** The path of the module, or null. */
  readonly module: string | null;
}

/** The hook by which systemd-resolved resolves names of machines. */
export interface HookFacts {
  /** The version of the host's systemd; 0 if it does not run. */
  readonly release: number;
  readonly hasSocket: boolean;
  readonly resolvedRuns: boolean;
}

/** Owner and mode of a file. */
export interface FileFacts {
  readonly path: string;
  readonly uid: number;
  readonly mode: number;
  /** The mode that it should have. */
  readonly wanted: number;
}

/** The configuration of polkit. */
export interface PolkitFacts {
  /** Actions of the daemons that no policy file declares. */
  readonly missing: readonly string[];
}

/** The pool and its file system. */
export interface PoolFacts {
  readonly path: string;
  readonly exists: boolean;
  readonly isBtrfs: boolean;
  readonly totalBytes: number;
  readonly availableBytes: number;
  /** Whether there are hidden images (kept downloads), which `machinectl clean` removes. */
  readonly hasHidden: boolean;
  /** Temporary files of transfers that were killed, by name. */
  readonly ofTransfers: readonly string[];
  /** Temporary files of operations of machined that were killed, by name. */
  readonly ofOperations: readonly string[];
}

/** Use and limit of the pool; 2^64-1 if unknown or unlimited. */
export interface QuotaFacts {
  readonly usageBytes: bigint;
  readonly limitBytes: bigint;
}

/** User namespaces. */
export interface NamespaceFacts {
  /** The sysctl user.max_user_namespaces. */
  readonly most: number;
  /** The kernel's default for it. */
  readonly usual: number;
}

/** The system clock. */
export interface ClockFacts {
  readonly nowMs: number;
  /** When the running executable was written. */
  readonly builtMs: number;
}

/** All facts that the checks of a host need; `quota` is null if the daemon does not run. */
export interface HostFacts {
  readonly caller: CallerFacts;
  /** Null on a host with systemd. */
  readonly otherInit: RestartFacts | null;
  readonly bus: BusFacts;
  readonly machined: DaemonFacts;
  readonly importd: DaemonFacts;
  readonly privateSocket: PrivateSocketFacts;
  readonly units: Readonly<Record<UnitKey, UnitFacts>>;
  readonly path: PathFacts;
  readonly cgroup: CgroupFacts;
  readonly kernel: KernelFacts;
  readonly nss: NssFacts;
  readonly hook: HookFacts;
  readonly sockets: readonly FileFacts[];
  readonly polkit: PolkitFacts;
  readonly pool: PoolFacts;
  readonly quota: QuotaFacts | null;
  readonly namespaces: NamespaceFacts;
  readonly denials: readonly string[];
  readonly clock: ClockFacts;
}
