// The errors that the daemons reply with, each declared once: D-Bus name, Varlink id, errno.
// The names are the original's (org.freedesktop.machine1(5)); so are the texts wherever clients match them.
import { errnoName, errnoNumber } from "./errno.ts";
import { lazy } from "./lazy.ts";

/** One error: its name on each transport, and the errno that C clients map it to. */
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

/** Returns the D-Bus error name for the name of an errno, e.g. "System.Error.ENXIO" for "ENXIO". */
export function busErrorOfErrno(errnoName: string): string {
  return BUS_ERROR_OF_ERRNO[errnoName] ?? `System.Error.${errnoName}`;
}

const SYSTEMD1 = "org.freedesktop.systemd1";

/**
 * Names of errors by the errno that sd-bus maps them to, where that is not the errno which it writes as this name:
 * those of the D-Bus specification, and those of the service manager about units and jobs. One name may stand for
 * several errors of the table above; here is what it means when another service sends it.
 */
const BUS_ERRORS_BY_ERRNO: Readonly<Record<string, readonly [prefix: string, names: string]>> = {
  EACCES: [DBUS, "AccessDenied AuthFailed Failed InteractiveAuthorizationRequired"],
  EADDRNOTAVAIL: [DBUS, "BadAddress"],
  EBADR: [DBUS, "UnknownMethod UnknownObject UnknownInterface UnknownProperty"],
  EBUSY: [DBUS, "ObjectPathInUse"],
  EHOSTDOWN: [DBUS, "NoServer"],
  EHOSTUNREACH: [DBUS, "ServiceUnknown"],
  EINVAL: [DBUS, "InvalidFileContent InvalidSignature MatchRuleInvalid"],
  ENONET: [DBUS, "NoNetwork"],
  ENXIO: [DBUS, "NameHasNoOwner"],
  EOPNOTSUPP: [DBUS, "NotSupported"],
  ETIMEDOUT: [DBUS, "NoReply TimedOut"],
  ECANCELED: [SYSTEMD1, "ShuttingDown"],
  EDEADLK: [SYSTEMD1, "TransactionIsDestructive TransactionJobsConflicting TransactionOrderIsCyclic"],
  EEXIST: [SYSTEMD1, "UnitExists"],
  ENOENT: [SYSTEMD1, "NoSuchJob NoSuchUnit"],
  ENOEXEC: [SYSTEMD1, "BadUnitSetting"],
  ERFKILL: [SYSTEMD1, "UnitMasked"],
  ESRCH: [SYSTEMD1, "NoUnitForPID"],
};

const errnoOfBusErrors = lazy(
  () =>
    new Map([
      ...Object.entries(BUS_ERROR_OF_ERRNO).map(([errno, name]): [string, string] => [name, errno]),
      ...Object.values(ERRORS).map((row): [string, string] => [row.bus, row.errno]),
      ...Object.entries(BUS_ERRORS_BY_ERRNO).flatMap(([errno, [prefix, names]]) =>
        names.split(" ").map((name): [string, string] => [`${prefix}.${name}`, errno]),
      ),
    ]),
);

/** Returns the name of the errno for a D-Bus error name; "EIO" for an unknown one, as sd-bus does. */
export function errnoOfBusError(name: string): string {
  if (name.startsWith("System.Error.")) return name.slice("System.Error.".length);
  return errnoOfBusErrors().get(name) ?? "EIO";
}

/**
 * An error of the table above. Registry, actions and workers throw it; the transports translate it into an error reply.
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

/**
 * Returns the error for an invalid argument: InvalidArgs on D-Bus, InvalidParameter with the field's name on Varlink.
 */
export function invalidArgument(parameter: string, message: string): MachinedError {
  return new MachinedError("InvalidArgs", message, { parameters: { parameter } });
}

/**
 * An error that is identified by its errno, with a text of its own ("Failed to pin process 7: …"). It has the field
 * `errnoName` like SyscallError of kernel/syscall, so that the transports treat both alike.
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
 * Returns the errno name of an error of any origin, or null for one without: ours (`errnoName`), node:fs and Bun
 * (`code`, or only the number `errno` where they do not know the name). The only reader of these fields.
 */
export function errnoNameOf(error: unknown): string | null {
  if (typeof error !== "object" || error === null) return null;
  const { errnoName: own, code, errno, syscall } = error as Readonly<Record<string, unknown>>;
  if (typeof own === "string") return own;
  if (typeof code === "string" && errnoNumber(code) !== undefined) return code;
  // Without the field `syscall`, `errno` is not the kernel's: zlib puts its own error numbers there.
  if (typeof errno !== "number" || errno === 0 || typeof syscall !== "string") return null;
  const name = errnoName(Math.abs(errno));
  return errnoNumber(name) === undefined ? null : name;
}

/** Returns the original error where disposing failed as well: `using` then throws a SuppressedError that holds both. */
export function firstError(error: unknown): unknown {
  let first = error;
  while (first instanceof SuppressedError) first = first.suppressed;
  return first;
}

/** Errors that the state of the host causes, never a bug of this program. */
const HOST_FAULTS: ReadonlySet<string> = new Set([
  ...["ENOSPC", "EDQUOT", "EROFS", "EIO", "EUCLEAN", "EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EAGAIN"],
  ...["EACCES", "EPERM", "ENOTDIR", "EISDIR", "ELOOP", "ENAMETOOLONG", "EADDRINUSE", "EHOSTDOWN", "ESTALE"],
]);

/**
 * Returns the errno name of an error that the host causes (full disk, too many open files, no permission …), or null.
 */
export function hostFaultOf(error: unknown): string | null {
  const name = errnoNameOf(error);
  return name !== null && HOST_FAULTS.has(name) ? name : null;
}
