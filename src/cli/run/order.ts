// What the client of `run` tells the process that it has started as a unit, and what that tells the client.
import { join } from "node:path";
import type { ImageType } from "../../base/vocabulary/image-class.ts";

/** What the unit is to run. Goes to it as an argument. */
export interface RunOrder {
  readonly image: string;
  readonly machine: string;
  /** Run a clone of the image, which is removed at the end. */
  readonly isTemporary: boolean;
  /** A command is going to be run in the machine, which ends with it: with descriptor 0 of the unit. */
  readonly hasCommand: boolean;
  /** `--network=`; null for what fits the image. */
  readonly network: string | null;
  /** Further options of systemd-nspawn(1). */
  readonly options: readonly string[];
  /** Assignments for the image's own program. */
  readonly environment: readonly string[];
}

/** What is in the image, for a command that is run in it. */
export interface RunFacts {
  readonly type: ImageType;
  /** It has an init, which is booted. */
  readonly boots: boolean;
  readonly command: readonly string[];
  readonly user: string | null;
  readonly directory: string | null;
  readonly environment: readonly string[];
}

/** Below /run: the runtime directory of the unit. */
export function runtimeDirectory(machine: string): string {
  return join("machined-run", machine);
}

export function factsPath(machine: string): string {
  return join("/run", runtimeDirectory(machine), "facts.json");
}

export function unitOfRun(machine: string): string {
  return `machined-run-${machine}.service`;
}

/** In letters that neither systemd nor a shell finds a meaning in. */
export function packOrder(order: RunOrder): string {
  return Buffer.from(JSON.stringify(order)).toString("base64url");
}

export function unpackOrder(text: string): RunOrder {
  return JSON.parse(Buffer.from(text, "base64url").toString()) as RunOrder; // packOrder() made it
}
