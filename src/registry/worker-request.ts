// The request to a worker that reaches into a machine: one argument, as JSON, and open descriptors of fixed numbers.
import type { Identity } from "../kernel/process/namespace.ts";
import type { OpenFileKind } from "./open-file-kind.ts";

export interface CopyArguments {
  readonly direction: "to-machine" | "from-machine";
  /** Absolute and normalized, neither of them "/". */
  readonly source: string;
  readonly destination: string;
  readonly replace: boolean;
  /** The user and group of the host that the machine's root is, where that is not root of the host. */
  readonly machineRoot: Identity | null;
  /** The temporary name of the copy, until it is complete. */
  readonly temporary: string;
}

export interface BindArguments {
  /** Absolute and normalized. */
  readonly source: string;
  readonly destination: string;
  readonly readOnly: boolean;
  readonly mkdir: boolean;
  /** As in CopyArguments; where it is set, the machine's user namespace is passed, too. */
  readonly machineRoot: Identity | null;
  /** The directory of the host from which mounts propagate into the machine; it may be missing. */
  readonly tunnel: string;
}

/** A file of the machine, and what is requested: its content, up to a limit, or a descriptor. */
export interface OpenArguments {
  /** Absolute. */
  readonly path: string;
  readonly want: OpenFileKind | { readonly limitBytes: number };
  /** The user and group that open it. */
  readonly identity: Identity;
}

/**
 * The numbers of a worker's descriptors: the machine's root directory, its leader's pidfd, its user namespace, and the
 * socket for a descriptor that it sends back.
 */
export const WORK_FDS = { root: 4, leader: 5, userNamespace: 6, answer: 7 } as const;
