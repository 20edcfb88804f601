// The actions of both transports: start, cancel and list transfers, list images.
//
// The permission is checked first; the checks of arguments and the start follow, without an await between them.
import { errnoText } from "../base/errno.ts";
import { ErrnoError, invalidArgument } from "../base/error.ts";
import { isImageName } from "../base/names.ts";
import { parseCompression } from "../base/vocabulary/compression.ts";
import { IMAGE_CLASSES, type ImageClass } from "../base/vocabulary/image-class.ts";
import { isPushReference, parseOciReference } from "../base/vocabulary/oci-reference.ts";
import { isDownloadUrl, splitLogin, type TransferType, VERIFY_MODES } from "../base/vocabulary/transfer.ts";
import type { Call } from "../daemon/call.ts";
import { permissionsOf } from "../daemon/permission/access.ts";
import { authorize } from "../daemon/permission/polkit.ts";
import { isPrivileged } from "../ipc/caller.ts";
import { type Fd, kindOfFd } from "../kernel/file/fd.ts";
import { isPlainlyOpened } from "../kernel/file/flags.ts";
import { sealedFile } from "../kernel/file/memory-file.ts";
import type { ImportDaemon } from "./daemon.ts";
import { requireAllowedRoot } from "./image-roots.ts";
import { launch } from "./launch.ts";
import type { Transfer } from "./transfer.ts";
import { type TransferPlan, workerOverride } from "./worker-command.ts";

/** The caller's login for a registry. */
interface Login {
  readonly registry: string;
  readonly user: string;
  readonly password: string;
}

/** The request for a transfer, before its texts are checked. */
export interface TransferRequest {
  readonly type: TransferType;
  readonly class: string;
  readonly local: string;
  readonly remote?: string;
  readonly verify?: string;
  readonly force?: boolean;
  readonly readOnly?: boolean;
  readonly keepDownload?: boolean;
  readonly format?: string;
  readonly imageRoot?: string;
  readonly base?: string;
  readonly login?: Login;
  /**
   * Returns the descriptor that an import reads or an export writes; `start()` closes it. Called once, after the
   * permission.
   */
  readonly file?: () => Fd;
  /** Checks the flags of the Ex methods, after the class; throws InvalidArgs for unknown bits. */
  readonly checkFlags?: () => void;
}

type Kind = "import" | "export" | "pull" | "push";

function kindOf(type: TransferType): Kind {
  return type.slice(0, type.indexOf("-")) as Kind;
}

/**
 * Starts a transfer, and returns it. `details` are passed to polkit. Throws AccessDenied, InvalidArgs,
 * TransferInProgress.
 */
export async function start(
  daemon: ImportDaemon,
  call: Call,
  request: TransferRequest,
  details: Readonly<Record<string, string>> = {},
): Promise<Transfer> {
  const kind = kindOf(request.type);
  const done = daemon.busy();
  try {
    const { imageRoot = "", remote = "" } = request;
    if (imageRoot !== "") {
      await requireAllowedRoot(daemon, call, { imageRoot, remote, class: classOf(request.class) });
    }
    // Rules of polkit can depend on the directory that the image is written to.
    const shown = imageRoot === "" ? details : { ...details, imageRoot };
    await permit(daemon, call, shown);
    const { url, passed, shown: shownLogin } = loginInUrl(request, kind);
    const credentials = kind === "push" ? await credentialsOf(call, request) : passed === "" ? "" : "stdin";
    const checked = planOf(daemon, request, kind);
    const plan = { ...checked, ...(kind === "pull" ? { remote: url } : {}), credentials, shownLogin };
    using file = request.file?.();
    if (file !== undefined) checkFile(file, request.type, daemon.hostVersion);
    daemon.transfers.check(plan);
    const secret = passed === "" ? request.login : { urlLogin: passed };
    using login = secret === undefined ? null : sealedFile("login", Buffer.from(JSON.stringify(secret)));
    return launch(daemon, plan, filesOf(kind, login ?? file));
  } finally {
    done();
  }
}

interface UrlWithLogin {
  /** Without name and password, which are in no list, log or signal. */
  readonly url: string;
  /** The login that the worker gets in a file, and in no command line. */
  readonly passed: string;
  /** The login that a worker of other programs gets in the URL, since it takes it in no other way. */
  readonly shown: string;
}

/** Splits the URL of a pull. */
function loginInUrl({ type, remote = "" }: TransferRequest, kind: Kind): UrlWithLogin {
  if (kind !== "pull" || type === "pull-oci") return { url: remote, passed: "", shown: "" };
  const { url, login } = splitLogin(remote);
  const isOurs = workerOverride(process.env, "systemd-pull") === undefined;
  return isOurs ? { url, passed: login, shown: "" } : { url, passed: "", shown: login };
}

function filesOf(kind: Kind, file: Fd | undefined): { input?: Fd; output?: Fd } {
  if (file === undefined) return {};
  return kind === "export" ? { output: file } : { input: file };
}

const LOGIN_LIMIT = 64 << 10;

/**
 * Returns where a push gets its login from. Logins in files of the daemon's user are for that user and for root only.
 */
async function credentialsOf(call: Call, { login }: TransferRequest): Promise<TransferPlan["credentials"]> {
  if (login === undefined) return isPrivileged(await call.caller()) ? "own" : "none";
  if (login.registry.length + login.user.length + login.password.length > LOGIN_LIMIT)
    throw invalidArgument("login", "Login is too long");
  return "stdin";
}

/** Checks the permission of the caller; throws AccessDenied. A user's own daemon needs none. */
async function permit(daemon: ImportDaemon, call: Call, details: Readonly<Record<string, string>> = {}): Promise<void> {
  if (daemon.scope === "user") return;
  await authorize(daemon.authority(), call, permissionsOf(call.access, { details }, daemon.hostVersion));
}

function planOf(
  daemon: ImportDaemon,
  request: TransferRequest,
  kind: Kind,
): Omit<TransferPlan, "credentials" | "shownLogin"> {
  const imageClass = classOf(request.class);
  request.checkFlags?.();
  const { type, local, remote = "", imageRoot = "", format = "", base = "" } = request;
  if (kind === "pull" || kind === "push") checkRemote(type, remote);
  if (base !== "" && !isImageName(base)) throw invalidArgument("base", `Image name ${base} is invalid`);
  if (!(kind === "pull" && local === "") && !isImageName(local)) {
    throw invalidArgument("local", `Local image name ${local} is invalid`);
  }
  const verify = VERIFY_MODES.parse(request.verify || "signature");
  if (verify === undefined) throw invalidArgument("verify", `Unknown verification mode ${request.verify}`);
  if (format !== "" && parseCompression(format) === undefined)
    throw invalidArgument("format", `Unknown compression format ${format}`);
  if (imageRoot !== "" && !isPlainPath(imageRoot)) throw invalidArgument("imageRoot", "Invalid image root");
  return {
    type,
    class: imageClass,
    local,
    remote,
    verify: kind === "pull" && type !== "pull-oci" ? verify : "",
    force: request.force === true,
    readOnly: request.readOnly === true,
    // A download without a local name makes no image: its only result is the kept download.
    keepDownload: request.keepDownload === true || local === "",
    format,
    base,
    imageRoot: imageRoot || (daemon.paths.imagesMoved ? daemon.paths.imageRoot(imageClass) : ""),
  };
}

function isPlainPath(path: string): boolean {
  return path.startsWith("/") && !path.includes("\0") && !path.split("/").includes("..");
}

/** Returns the class of that name; throws InvalidArgs for an unknown one. */
export function classOf(name: string): ImageClass {
  const known = IMAGE_CLASSES.parse(name);
  if (known === undefined) throw invalidArgument("class", `Image class '${name}' not known`);
  return known;
}

function checkRemote(type: TransferType, remote: string): void {
  if (type === "push-oci") {
    if (!isPushReference(remote)) throw invalidArgument("remote", `Reference '${remote}' names no place to push to`);
  } else if (type === "pull-oci") {
    if (parseOciReference(remote) === undefined) throw invalidArgument("remote", `Reference '${remote}' is invalid`);
  } else if (!isDownloadUrl(remote)) throw invalidArgument("remote", `URL '${remote}' is invalid`);
}

/**
 * From this release on, systemd-importd refuses descriptors with O_APPEND or O_NONBLOCK, such as those of `>>` in a
 * shell.
 */
const PLAIN_FILES_VERSION = 257;

/**
 * Checks a descriptor that the caller opened: a worker reads or writes it without further checks. Throws errors with
 * errno.
 */
function checkFile(file: Fd, type: TransferType, hostVersion: number): void {
  const kind = kindOfFd(file);
  if (type === "import-fs") {
    if (kind !== "directory") throw new ErrnoError("ENOTDIR", errnoText("ENOTDIR"));
  } else if (kind !== "regular" && kind !== "fifo") throw new ErrnoError("EINVAL", errnoText("EINVAL"));
  const strictness = hostVersion < PLAIN_FILES_VERSION ? "or-appends-or-does-not-wait" : "strictly";
  if (!isPlainlyOpened(file, strictness)) throw new ErrnoError("EREMOTEIO", errnoText("EREMOTEIO"));
}

/** Cancels the transfer of that number. */
export async function cancelTransfer(daemon: ImportDaemon, call: Call, id: number): Promise<void> {
  if (id <= 0) throw invalidArgument("id", "Invalid transfer id");
  await permit(daemon, call);
  daemon.transfers.get(id).cancel();
}

/** Cancels the transfer of a D-Bus object. */
export async function cancelSelf(daemon: ImportDaemon, call: Call, transfer: Transfer): Promise<void> {
  await permit(daemon, call);
  transfer.cancel();
}

/** Returns the transfers of a class of images, or of all classes. */
export function listTransfers(daemon: ImportDaemon, imageClass: ImageClass | null): Transfer[] {
  return [...daemon.transfers].filter(({ plan }) => imageClass === null || plan.class === imageClass);
}
