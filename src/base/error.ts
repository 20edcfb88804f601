// The errors this system answers with, each declared once: D-Bus name, Varlink id, errno.
// The names are interface (org.freedesktop.machine1(5)); the texts are the original's wherever clients match them.

import { errnoName, errnoNumber } from "./errno.ts";

/** One kind of failure: what it is called on each transport, and the errno a C client makes of it. */
interface ErrorRow {
  readonly errno: string;
  readonly bus: string;
  readonly varlink: string;
}

const DBUS = "org.freedesktop.DBus.Error";
const VARLINK = "org.varlink.service";

function ofMachine(errno: string, name: string, varlink = name): ErrorRow {
  return { errno, bus: `org.freedesktop.machine1.${name}`, varlink: `io.systemd.Machine.${varlink}` };
}

function ofBus(errno: string, name: string, varlink = "io.systemd.System"): ErrorRow {
  return { errno, bus: `${DBUS}.${name}`, varlink };
}

function ofUserDatabase(errno: string, name: string): ErrorRow {
  return { errno, bus: `${DBUS}.Failed`, varlink: `io.systemd.UserDatabase.${name}` };
}

function ofImport(errno: string, name: string, varlink = name): ErrorRow {
  return { errno, bus: `org.freedesktop.import1.${name}`, varlink: `io.systemd.Import.${varlink}` };
}

export const ERRORS = {
  NoSuchMachine: ofMachine("ENXIO", "NoSuchMachine"),
  NoSuchImage: {
    errno: "ENOENT",
    bus: "org.freedesktop.machine1.NoSuchImage",
    varlink: "io.systemd.MachineImage.NoSuchImage",
  },
  NoMachineForPID: ofMachine("ENXIO", "NoMachineForPID", "NoSuchMachine"),
  MachineExists: ofMachine("EEXIST", "MachineExists"),
  NoPrivateNetworking: ofMachine("ENOSYS", "NoPrivateNetworking"),
  NoSuchUserMapping: ofMachine("ENXIO", "NoSuchUserMapping", "NoSuchUser"),
  NoSuchGroupMapping: ofMachine("ENXIO", "NoSuchGroupMapping", "NoSuchGroup"),
  UserInHostRange: ofMachine("ENXIO", "NoSuchUserMapping", "UserInHostRange"),
  GroupInHostRange: ofMachine("ENXIO", "NoSuchGroupMapping", "GroupInHostRange"),
  NoOSReleaseInformation: {
    errno: "ENOENT",
    bus: `${DBUS}.Failed`,
    varlink: "io.systemd.Machine.NoOSReleaseInformation",
  },
  NoUIDShift: { errno: "ENXIO", bus: `${DBUS}.NotSupported`, varlink: "io.systemd.Machine.NoUIDShift" },
  NotAvailable: { errno: "EOPNOTSUPP", bus: `${DBUS}.NotSupported`, varlink: "io.systemd.Machine.NotAvailable" },
  NoIPC: { errno: "ENOENT", bus: `${DBUS}.FileNotFound`, varlink: "io.systemd.Machine.NoIPC" },
  TooManyOperations: {
    errno: "ENOBUFS",
    bus: `${DBUS}.LimitsExceeded`,
    varlink: "io.systemd.Machine.TooManyOperations",
  },
  JobFailed: { errno: "EREMOTEIO", bus: "org.freedesktop.systemd1.JobFailed", varlink: "io.systemd.System" },

  NoSuchTransfer: ofImport("ENXIO", "NoSuchTransfer"),
  TransferInProgress: ofImport("EBUSY", "TransferInProgress", "AlreadyInProgress"),
  TransferFailed: { errno: "EIO", bus: `${DBUS}.Failed`, varlink: "io.systemd.Import.TransferFailed" },
  TransferCancelled: { errno: "ECANCELED", bus: `${DBUS}.Failed`, varlink: "io.systemd.Import.TransferCancelled" },
  NoTransfers: { errno: "ENXIO", bus: `${DBUS}.Failed`, varlink: "io.systemd.Import.NoTransfers" },

  NotSupported: ofBus("EOPNOTSUPP", "NotSupported", "io.systemd.Machine.NotSupported"),
  InvalidArgs: ofBus("EINVAL", "InvalidArgs", `${VARLINK}.InvalidParameter`),
  AccessDenied: ofBus("EACCES", "AccessDenied", `${VARLINK}.PermissionDenied`),
  InteractiveAuthorizationRequired: ofBus(
    "EACCES",
    "InteractiveAuthorizationRequired",
    "io.systemd.InteractiveAuthenticationRequired",
  ),
  Failed: ofBus("EIO", "Failed"),
  FileNotFound: ofBus("ENOENT", "FileNotFound"),
  FileExists: ofBus("EEXIST", "FileExists"),
  UnixProcessIdUnknown: ofBus("ESRCH", "UnixProcessIdUnknown"),
  LimitsExceeded: ofBus("ENOBUFS", "LimitsExceeded"),
  Timeout: ofBus("ETIMEDOUT", "Timeout"),

  UnknownObject: ofBus("ENOENT", "UnknownObject", `${VARLINK}.MethodNotFound`),
  UnknownInterface: ofBus("EBADR", "UnknownInterface", `${VARLINK}.InterfaceNotFound`),
  UnknownMethod: ofBus("EBADR", "UnknownMethod", `${VARLINK}.MethodNotFound`),
  UnknownProperty: ofBus("EBADR", "UnknownProperty"),
  PropertyReadOnly: ofBus("EROFS", "PropertyReadOnly"),
  MethodNotFound: ofBus("ENXIO", "UnknownMethod", `${VARLINK}.MethodNotFound`),
  InterfaceNotFound: ofBus("EADDRNOTAVAIL", "UnknownInterface", `${VARLINK}.InterfaceNotFound`),
  ExpectedMore: ofBus("EBADE", "Failed", `${VARLINK}.ExpectedMore`),

  NoRecordFound: ofUserDatabase("ESRCH", "NoRecordFound"),
  BadService: ofUserDatabase("ESRCH", "BadService"),
  ConflictingRecordFound: ofUserDatabase("ESRCH", "ConflictingRecordFound"),
  EnumerationNotSupported: ofUserDatabase("EOPNOTSUPP", "EnumerationNotSupported"),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** errno name → standard D-Bus error name (sd-bus's table; everything else is `System.Error.<NAME>`). */
const BUS_ERROR_OF_ERRNO: Readonly<Record<string, string>> = {
  ENOMEM: `${DBUS}.NoMemory`,
  EPERM: `${DBUS}.AccessDenied`,
  EACCES: `${DBUS}.AccessDenied`,
  EINVAL: `${DBUS}.InvalidArgs`,
  ESRCH: `${DBUS}.UnixProcessIdUnknown`,
  ENOENT: `${DBUS}.FileNotFound`,
  EEXIST: `${DBUS}.FileExists`,
  ETIMEDOUT: `${DBUS}.Timeout`,
  ETIME: `${DBUS}.Timeout`,
  EIO: `${DBUS}.IOError`,
  ENETRESET: `${DBUS}.Disconnected`,
  ECONNABORTED: `${DBUS}.Disconnected`,
  ECONNRESET: `${DBUS}.Disconnected`,
  EOPNOTSUPP: `${DBUS}.NotSupported`,
  EADDRNOTAVAIL: `${DBUS}.BadAddress`,
  ENOBUFS: `${DBUS}.LimitsExceeded`,
  EADDRINUSE: `${DBUS}.AddressInUse`,
  EBADMSG: `${DBUS}.InconsistentMessage`,
};

/** The D-Bus error name of an errno. "System.Error.ENXIO" for "ENXIO". */
export function busErrorOfErrno(errnoName: string): string {
  return BUS_ERROR_OF_ERRNO[errnoName] ?? `System.Error.${errnoName}`;
}

const ERRNO_OF_BUS_ERROR: ReadonlyMap<string, string> = new Map([
  ...Object.entries(BUS_ERROR_OF_ERRNO).map(([errno, name]): [string, string] => [name, errno]),
  ...Object.values(ERRORS).map((row): [string, string] => [row.bus, row.errno]),
  [`${DBUS}.AccessDenied`, "EACCES"],
  [`${DBUS}.ServiceUnknown`, "EHOSTUNREACH"],
  [`${DBUS}.NameHasNoOwner`, "ENXIO"],
  [`${DBUS}.NoReply`, "ETIMEDOUT"],
  [`${DBUS}.Failed`, "EACCES"],
  [`${DBUS}.BadAddress`, "EADDRNOTAVAIL"],
]);

/** The errno name a D-Bus error stands for; "EIO" where nothing is known of it (sd-bus does the same). */
export function errnoOfBusError(name: string): string {
  if (name.startsWith("System.Error.")) return name.slice("System.Error.".length);
  return ERRNO_OF_BUS_ERROR.get(name) ?? "EIO";
}

/**
 * A failure with a name that callers know. Thrown by registry, actions and workers; the transports translate it.
 * `parameters` are the Varlink parameters of the error, e.g. `{ parameter: "name" }`.
 */
export class MachinedError extends Error {
  override readonly name = "MachinedError";
  readonly code: ErrorCode;
  readonly parameters: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; parameters?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.parameters = options.parameters ?? {};
  }
}

/** A bad argument: InvalidArgs on D-Bus, InvalidParameter naming the field on Varlink. */
export function invalidArgument(parameter: string, message: string): MachinedError {
  return new MachinedError("InvalidArgs", message, { parameters: { parameter } });
}

/**
 * A failure known by its errno alone, optionally with a text of its own ("Failed to pin process 7: …").
 * Structurally compatible with the kernel layer's SyscallError, so that the transports treat both alike.
 */
export class ErrnoError extends Error {
  override readonly name = "ErrnoError";
  readonly errnoName: string;

  constructor(errnoName: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.errnoName = errnoName;
  }
}

/**
 * The errno name of an error of any origin, or null for one that is no failure of the host: ours (`errnoName`), node:fs
 * and Bun (`code`, or the number in `errno` where they know no name). The only place that looks at these fields.
 */
export function errnoNameOf(error: unknown): string | null {
  if (typeof error !== "object" || error === null) return null;
  const { errnoName: own, code, errno, syscall } = error as Readonly<Record<string, unknown>>;
  if (typeof own === "string") return own;
  if (typeof code === "string" && errnoNumber(code) !== undefined) return code;
  // A number without a system call is another library's: zlib counts its errors in the same field.
  if (typeof errno !== "number" || errno === 0 || typeof syscall !== "string") return null;
  const name = errnoName(Math.abs(errno));
  return errnoNumber(name) === undefined ? null : name;
}

/** What failed first, where closing what was open failed as well: `using` wraps the two errors in one. */
export function firstError(error: unknown): unknown {
  let first = error;
  while (first instanceof SuppressedError) first = first.suppressed;
  return first;
}

/** Failures that say something about the host or its administration, never about this program. */
const HOST_FAULTS: ReadonlySet<string> = new Set([
  ...["ENOSPC", "EDQUOT", "EROFS", "EIO", "EUCLEAN", "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EAGAIN"],
  ...["EACCES", "EPERM", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "EADDRINUSE", "EHOSTDOWN", "ESTALE"],
]);

/** The errno name of an error that the host causes (full disk, too many open files, no permission …), or null. */
export function hostFaultOf(error: unknown): string | null {
  const name = errnoNameOf(error);
  return name !== null && HOST_FAULTS.has(name) ? name : null;
}
