// Files between this host and its machines: copies both ways, bind mounts (org.freedesktop.machine1(5),
// CopyToMachine(), CopyFromMachine(), BindMountMachine()).
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf, invalidArgument } from "../../base/error.ts";
import { isAbsolutePath, isNormalizedPath } from "../../base/names.ts";
import { sameNamespace } from "../../kernel/process/namespace.ts";
import { unsupported } from "../../registry/machine/errors.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { CopyArguments } from "../../registry/worker-request.ts";
import { defineAction } from "../action/action.ts";
import { grantOn } from "../action/machine-grant.ts";
import { bindIntoMachine, copyWithMachine, requireRoomForCopy } from "./machine-work.ts";

/** The flag by which existing files are replaced. */
const COPY_REPLACE = 1n;

export interface CopyRequest {
  readonly name: string;
  readonly direction: CopyArguments["direction"];
  readonly source: string;
  /** "" for the same path as the source. */
  readonly destination: string;
  /** COPY_REPLACE or 0. */
  readonly flags: bigint;
}

/** Copies a file or directory. Replies when that is done. */
export const copyFiles = defineAction({
  prepare(daemon, request: CopyRequest) {
    requireRoomForCopy(daemon.operations);
    const machine = requireContainer(daemon.registry.get(request.name), "Copying files");
    if ((request.flags & ~COPY_REPLACE) !== 0n) throw invalidArgument("flags", "Invalid argument");
    const accept = daemon.hostVersion < NORMALIZED_VERSION ? collapsed : normalized;
    const source = accept("source", request.source);
    const destination = request.destination === "" ? source : accept("destination", request.destination);
    const grant = grantOn(machine, { src: source, dest: destination });
    return { subject: machine, source, destination, grant };
  },
  run(daemon, { subject: machine, source, destination }, { direction, flags }): Promise<void> {
    for (const path of [source, destination]) requireFileName(path);
    return copyWithMachine(
      daemon.operations,
      machine,
      { direction, source, destination, replace: flags === COPY_REPLACE },
      daemon.log,
    );
  },
});

interface BindRequest {
  readonly name: string;
  readonly source: string;
  /** "" for the same path as the source. */
  readonly destination: string;
  readonly readOnly: boolean;
  readonly mkdir: boolean;
}

/** Bind mounts a file or directory of this host into a machine. */
export const bindMount = defineAction({
  prepare(daemon, request: BindRequest) {
    const machine = requireContainer(daemon.registry.get(request.name), "Bind mounting");
    const source = normalized("source", request.source);
    const destination = request.destination === "" ? source : normalized("destination", request.destination);
    const grant = grantOn(machine, { src: source, dest: destination });
    return { subject: machine, source, destination, grant };
  },
  async run(daemon, { subject: machine, source, destination }, { readOnly, mkdir }): Promise<void> {
    try {
      if (sharesMounts(machine)) throw new ErrnoError("EINVAL", errnoText("EINVAL"));
      await bindIntoMachine(daemon.operations, machine, { source, destination, readOnly, mkdir });
    } catch (error) {
      throw explained(error, source, destination);
    }
  },
});

function requireContainer(machine: Machine, what: string): Machine {
  if (machine.class === "container") return machine;
  throw unsupported(`${what} is only supported on container machines.`);
}

function normalized(parameter: "source" | "destination", path: string): string {
  if (isNormalizedPath(path)) return path.length > 1 ? path.replace(/\/$/, "") : path;
  const name = parameter === "source" ? "Source" : "Destination";
  throw invalidArgument(parameter, `${name} path must be absolute and normalized.`);
}

/** Since this release the original takes normalized paths only. */
const NORMALIZED_VERSION = 258;

/**
 * Normalizes a path as scripts for older releases may write it: single slashes and no `.`. `..` is kept: the kernel
 * resolves it when the path is opened, beneath the root that it belongs to.
 */
function collapsed(parameter: "source" | "destination", path: string): string {
  if (!isAbsolutePath(path)) return normalized(parameter, path);
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.some((part) => Buffer.byteLength(part) > LONGEST_NAME)) return normalized(parameter, path);
  return `/${parts.join("/")}`;
}

const LONGEST_NAME = 255;

function requireFileName(path: string): void {
  if (path !== "/" && !path.endsWith("/..")) return;
  const errno = path === "/" ? "EADDRNOTAVAIL" : "EINVAL";
  throw new ErrnoError(errno, `Failed to extract file name of '${path}' path: ${errnoText(errno)}`);
}

function sharesMounts({ leader }: Machine): boolean {
  return leader.verified(() => sameNamespace(leader.pid, "mnt"));
}

/** Adds the original's words to an error; its errors about user namespaces are passed unchanged. */
function explained(error: unknown, source: string, destination: string): unknown {
  const errno = errnoNameOf(error);
  if (errno === null) return error;
  const { message } = error as Error;
  if (errno === "EOPNOTSUPP" && message.includes("user namespacing")) return unsupported(message);
  const text = `Failed to mount ${source} on ${destination} in machine's namespace: ${errnoText(errno)}`;
  return new ErrnoError(errno, text, { cause: error });
}
