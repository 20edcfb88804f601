// What the checks of a host are made of. Values only: gather-*.ts learn them, and tests write them by hand.

/** Who asks, and how this program is called on the host. */
export interface CallerFacts {
  readonly isRoot: boolean;
  /** The words of a shell that run `machined` here. */
  readonly machined: string;
  /** Whether `machined install` was run. */
  readonly isInstalled: boolean;
}

export interface BusFacts {
  /** Null where it answers. */
  readonly failure: string | null;
  /** It takes connections, and does not answer. */
  readonly isSilent: boolean;
  /** The host has files of a bus. */
  readonly isExpected: boolean;
}

/** The load state of all units where systemd is not process 1. */
export const NO_SYSTEMD = "no-systemd";

export interface UnitFacts {
  /** `loaded`, `not-found`, `masked`, …; `NO_SYSTEMD`. */
  readonly load: string;
  readonly active: string;
  /** `enabled`, `disabled`, `static`, … */
  readonly enabled: string;
}

/** The units that matter, by what they are to us. */
export const UNITS = {
  machined: "systemd-machined.service",
  importd: "systemd-importd.service",
  importSocket: "systemd-importd.socket",
  execSocket: "machined-exec.socket",
  networkd: "systemd-networkd.service",
  polkit: "polkit.service",
} as const;

export type UnitKey = keyof typeof UNITS;

/** The process that answers for a daemon. */
export interface OwnerFacts {
  readonly pid: number;
  readonly program: "ours" | "stock" | "other";
  readonly path: string;
  /** Its executable was replaced or removed since it started. */
  readonly isReplaced: boolean;
}

export interface DaemonFacts {
  /** Null where none runs at the moment. */
  readonly owner: OwnerFacts | null;
  /** Whether what runs answers; true where nothing runs. */
  readonly answers: boolean;
  /** Whether the bus starts it when it is called. */
  readonly isActivatable: boolean;
  /** The main process of its unit; 0 for none. */
  readonly mainPid: number;
  /** What its unit starts; null without a unit. */
  readonly starts: Pick<OwnerFacts, "path" | "program"> | null;
  /** The unit forbids executable memory, without which our program cannot run. */
  readonly forbidsExecutableMemory: boolean;
}

/** How the daemon of machines is reached where there is no bus. */
export interface PrivateSocketFacts {
  readonly answers: boolean;
}

export interface PathFacts {
  /** All files called machinectl in the directories of PATH, in its order. */
  readonly found: readonly { readonly path: string; readonly isOurs: boolean }[];
  /** Lines of the caller's crontab that call machinectl or importctl by name, where no PATH is set before them. */
  readonly cronLines: readonly string[];
}

export interface CgroupFacts {
  readonly version: 1 | 2;
  readonly missing: readonly string[];
}

export interface KernelFacts {
  readonly release: string;
  /** What it lacks of what is needed. */
  readonly missing: readonly string[];
  /** What it lacks of what is only useful, and what goes without it. */
  readonly lesser: readonly string[];
}

export interface NssFacts {
  /** Databases of nsswitch.conf that have a line without the module's name. */
  readonly without: readonly string[];
  /** The module's file, or null. */
  readonly module: string | null;
}

export interface HookFacts {
  /** The release of the host's systemd; 0 where it is not known. */
  readonly release: number;
  readonly hasSocket: boolean;
  readonly resolvedRuns: boolean;
}

export interface FileFacts {
  readonly path: string;
  readonly uid: number;
  readonly mode: number;
  readonly wanted: number;
}

export interface PolkitFacts {
  /** Actions of ours that no file declares. */
  readonly missing: readonly string[];
}

export interface PoolFacts {
  readonly path: string;
  readonly exists: boolean;
  readonly isBtrfs: boolean;
  readonly totalBytes: number;
  readonly availableBytes: number;
  /** Whether hidden images (kept downloads) could be removed. */
  readonly hasHidden: boolean;
  /** What dead transfers left. */
  readonly ofTransfers: readonly string[];
  /** What dead operations of machined left. */
  readonly ofOperations: readonly string[];
}

export interface QuotaFacts {
  readonly usageBytes: bigint;
  readonly limitBytes: bigint;
}

export interface NamespaceFacts {
  /** user.max_user_namespaces. */
  readonly most: number;
  /** What the kernel would have set. */
  readonly usual: number;
}

export interface ClockFacts {
  readonly nowMs: number;
  /** When the running executable was written. */
  readonly builtMs: number;
}

/** Everything that the checks of a host need. */
export interface HostFacts {
  readonly caller: CallerFacts;
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
