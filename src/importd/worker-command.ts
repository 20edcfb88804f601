// The command lines of the worker programs (systemd-pull, systemd-import, systemd-import-fs, systemd-export), and their
// environment.
import type { ImageClass } from "../base/vocabulary/image-class.ts";
import { joinLogin, type TransferType, type VerifyMode } from "../base/vocabulary/transfer.ts";
import type { ScopeKind } from "../daemon/scope.ts";

/** The checked request for a transfer. An empty text means "none". */
export interface TransferPlan {
  readonly type: TransferType;
  readonly class: ImageClass;
  /** The name of the image on this host; empty for a download that is only kept. */
  readonly local: string;
  readonly remote: string;
  readonly verify: VerifyMode | "";
  readonly force: boolean;
  readonly readOnly: boolean;
  readonly keepDownload: boolean;
  /** The compression of an export; empty for none. */
  readonly format: string;
  /** The directory in which the image is made, where that is not the one of its class. */
  readonly imageRoot: string;
  /** The image that a push computes the second layer against; empty for none. */
  readonly base: string;
  /** Where the worker gets its login from: for the registry of a push, or for the URL of a pull; empty for none. */
  readonly credentials: "own" | "stdin" | "none" | "";
  /**
   * The login of the URL for a worker of other programs, which takes it in its arguments, where all users can read it;
   * else empty.
   */
  readonly shownLogin: string;
}

export interface WorkerCommand {
  readonly program: string;
  readonly args: readonly string[];
}

const PROGRAMS: Readonly<Record<TransferType, readonly [program: string, verb: string]>> = {
  "import-tar": ["systemd-import", "tar"],
  "import-raw": ["systemd-import", "raw"],
  "import-fs": ["systemd-import-fs", "run"],
  "export-tar": ["systemd-export", "tar"],
  "export-raw": ["systemd-export", "raw"],
  "pull-tar": ["systemd-pull", "tar"],
  "pull-raw": ["systemd-pull", "raw"],
  "pull-oci": ["systemd-pull", "oci"],
  "push-oci": ["systemd-export", "oci"],
};

/** The argument for "no name", and for the standard stream in place of a file. */
const NONE = "-";

/** Returns the command of a transfer's worker. */
export function workerCommand(plan: TransferPlan, scope: ScopeKind): WorkerCommand {
  const [program, verb] = PROGRAMS[plan.type];
  const isPull = plan.type.startsWith("pull-");
  const keeps = plan.type === "pull-tar" || plan.type === "pull-raw";
  const args = [
    verb,
    `--${scope}`,
    ...option("--verify", plan.verify),
    ...option("--class", plan.class === "machine" ? "" : plan.class),
    ...option("--keep-download", keeps ? (plan.keepDownload ? "yes" : "no") : ""),
    ...(plan.force ? ["--force"] : []),
    ...(plan.readOnly ? ["--read-only"] : []),
    ...option("--format", plan.format),
    ...option("--image-root", plan.imageRoot),
    ...option("--base", plan.base),
    ...option("--credentials", plan.credentials),
    // A local name may begin with a dash.
    "--",
    ...(isPull ? [joinLogin(plan.remote, plan.shownLogin)] : plan.type.startsWith("import-") ? [NONE] : []),
    plan.local === "" ? NONE : plan.local,
    ...(plan.type === "push-oci" ? [plan.remote] : []),
  ];
  return { program, args };
}

function option(name: string, value: string): string[] {
  return value === "" ? [] : [`${name}=${value}`];
}

/** The variables of the daemon's environment that its workers inherit: proxies, paths, settings. */
const INHERITED =
  /^(((https?|ftp|all|no)_proxy)|SSL_CERT_(FILE|DIR)|SYSTEMD_(IMPORT_\w+|OPENPGP_KEYRING|NSPAWN_LOCK)|REGISTRY_AUTH_FILE|HOME|USER|XDG_\w+|TZ|LANG|LC_\w+|MACHINED_\w+)$/i;

/**
 * Settings of the engine for short processes: no last stage of compilation, which would cost more time than it saves,
 * and no return of free memory to the kernel, which would soon be requested again. Together they save more than a tenth
 * of the time.
 */
const SHORT_LIVED = { BUN_JSC_useFTLJIT: "0", MIMALLOC_PURGE_DELAY: "-1" };

/** Returns the variables that every worker inherits, that of clean-ups included: they say where its locks are. */
export function inheritedEnvironment(own: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(own)) {
    if (value !== undefined && INHERITED.test(name)) env[name] = value;
  }
  return env;
}

/** Returns the environment of the worker of a transfer. */
export function workerEnvironment(
  own: Readonly<Record<string, string | undefined>>,
  given: { readonly notifySocket: string; readonly logLevel: string },
): Record<string, string> {
  return {
    ...inheritedEnvironment(own),
    ...SHORT_LIVED,
    SYSTEMD_LOG_TARGET: "console-prefixed",
    SYSTEMD_LOG_LEVEL: given.logLevel,
    NOTIFY_SOCKET: given.notifySocket,
  };
}

/**
 * Returns the program that a variable such as $SYSTEMD_PULL_PATH names in place of the worker; undefined where there is
 * none.
 */
export function workerOverride(own: Readonly<Record<string, string | undefined>>, program: string): string | undefined {
  return own[`${program.toUpperCase().replaceAll("-", "_")}_PATH`] || undefined;
}
