// What the installation needs of an init other than systemd.
import type { Wanted } from "../wanted.ts";
import type { InitName, Signs } from "./recognise.ts";
import type { Service } from "./services.ts";

export type Command = readonly string[];
export type Has = Signs["has"];

/** An init. `has` says whether a path exists on the host. */
export interface Init {
  /** The name in messages. */
  readonly name: InitName;
  /** Returns the files of a service. */
  files(service: Service, has: Has): Wanted[];
  /**
   * Returns the command that makes the service start at boot, to be run when its files exist; null if none is needed.
   */
  enable(service: Service, has: Has): Command | null;
  /** Returns the reverse command, to be run when the files have been removed. */
  disable(service: Service, has: Has): Command | null;
  /** Returns commands to be run in order until one fails. */
  readonly start: (service: Service) => readonly Command[];
  /** These return commands; `status` succeeds if the service runs. */
  readonly restart: (service: Service) => Command;
  readonly status: (service: Service) => Command;
  readonly stop: (service: Service) => Command;
  /** Returns directories that the init makes for the service and does not remove. */
  readonly state: (service: Service) => readonly string[];
  /** How long it may take at most, in milliseconds, until a new service can be started; 0 if it can be at once. */
  readonly noticeMs: number;
  /**
   * Returns the link to remove before the service is stopped, because the init would start it again; null for inits
   * that do not.
   */
  watched(service: Service, has: Has): string | null;
}

/** Returns an executable file. */
export function script(path: string, text: string): Wanted {
  return { kind: "file", path, text, isExecutable: true, dependsOnHost: true };
}

/** Returns a symbolic link. */
export function link(path: string, target: string): Wanted {
  return { kind: "link", path, target };
}

/** Returns null: the command of an init that needs none. */
export function none(): null {
  return null;
}
