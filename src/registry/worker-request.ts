// What the daemon tells a worker that reaches into a machine: one argument, as JSON, and open descriptors of known numbers.
import type { Identity } from "../kernel/process/namespace.ts";
import type { OpenFileKind } from "./open-file-kind.ts";

export interface CopyArguments {
  readonly direction: "to-machine" | "from-machine";
  /** Absolute and normalized, neither of them "/". */
  readonly source: string;
  readonly destination: string;
  readonly replace: boolean;
  /** The host's identity of the machine's root, where that is not the host's own. */
  readonly machineRoot: Identity | null;
  /** Under this name the copy is made until it is complete. */
  readonly temporary: string;
}

export interface BindArguments {
  /** Absolute and normalized. */
  readonly source: string;
  readonly destination: string;
  readonly readOnly: boolean;
  readonly mkdir: boolean;
  /** As above; then the machine's user namespace goes along. */
  readonly machineRoot: Identity | null;
  /** The directory of the host from which mounts spread into the machine; it need not be there. */
  readonly tunnel: string;
}

/** A file of the machine, and what is wanted of it: its content, up to a limit, or a descriptor. */
export interface OpenArguments {
  /** Absolute. */
  readonly path: string;
  readonly want: OpenFileKind | { readonly limitBytes: number };
  /** Who opens it. */
  readonly identity: Identity;
}

/**
 * Where a worker finds the machine's root directory, its leader's pidfd, its user namespace, and the socket for a
 * descriptor that it sends back.
 */
export const WORK_FDS = { root: 4, leader: 5, userNamespace: 6, answer: 7 } as const;
