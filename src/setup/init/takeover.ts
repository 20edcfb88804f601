// Enables, starts and stops the services on hosts with another init than systemd.
import { rmSync } from "node:fs";
import type { Say } from "../apply.ts";
import type { Host } from "../host.ts";
import { SetupError } from "../setup-error.ts";
import type { Run } from "../takeover.ts";
import type { Init } from "./inits.ts";
import { SERVICES, type Service } from "./services.ts";

/** How long to wait until an init has noticed a new service: runsvdir(8) looks every five seconds. */
const NOTICE_MS = 15_000;
const POLL_MS = 100;

/** Returns a command for the host; for a tree of files, with chroot(1). */
function inHost(host: Host, command: readonly string[]): readonly string[] {
  return host.isLive ? command : ["chroot", host.root, ...command];
}

/** Returns the commands that enable the services. To be run when their files exist. */
export function enablingCommands(init: Init, host: Host): string[][] {
  const commands = SERVICES.map((service) => init.enable(service, host.has));
  return commands.filter((command) => command !== null).map((command) => [...inHost(host, command)]);
}

/** Makes the services start at boot. Throws a SetupError. */
export function enableServices(init: Init, host: Host, command: Run): void {
  for (const words of enablingCommands(init, host)) must(command, words);
}

/**
 * Disables the services. To be called when their files have been removed. Failures are printed only, because without
 * the files nothing can start anyway.
 */
export function disableServices(init: Init, host: Host, say: Say, command: Run): void {
  for (const service of SERVICES.toReversed()) {
    const words = init.disable(service, host.has);
    if (words === null) continue;
    const { code, output } = command(...inHost(host, words));
    if (code !== 0) say(`'${words.join(" ")}' failed: ${output}`);
  }
}

/** Returns what is said of a running service that must not end now: it has transfers, or does not say whether; null for others. */
function workOf({ name, listWork }: Service, command: Run): string | null {
  if (listWork === null) return null;
  const { code, stdout } = command(process.execPath, ...listWork);
  if (code !== 0) return `${name} did not say whether it has active transfers`;
  return stdout === "" ? null : `${name} has active transfers`;
}

/**
 * Starts the services; those that run are restarted, unless `isUnchanged`. One with active transfers, or that cannot be asked,
 * continues as it is. Throws a SetupError.
 */
export function startServices(init: Init, host: Host, isUnchanged: boolean, say: Say, command: Run): void {
  for (const service of SERVICES) {
    const isRunning = command(...init.status(service)).code === 0;
    if (isRunning && isUnchanged) {
      say(`${service.name} runs already`);
      continue;
    }
    const work = isRunning ? workOf(service, command) : null;
    if (work !== null) {
      say(`${work}: it is replaced by '${init.restart(service).join(" ")}', when they are done`);
      continue;
    }
    if (isRunning) must(command, init.restart(service));
    else startService(init, host, service, command);
    say(`${service.name} runs`);
  }
}

/** Starts a service; if the init must notice it first, retries for NOTICE_MS. */
function startService(init: Init, host: Host, service: Service, command: Run): void {
  const words = init.start(service);
  const waitMs = init.watched(service, host.has) === null ? 0 : NOTICE_MS;
  for (const deadline = performance.now() + waitMs; ; Bun.sleepSync(POLL_MS)) {
    const { code, output } = command(...words);
    if (code === 0) return;
    if (performance.now() >= deadline) throw new SetupError(`'${words.join(" ")}' failed: ${output}`);
  }
}

/**
 * Stops the services, also one with active transfers, which is printed: without its files nothing would stop it later. To be called
 * before the files are removed. Machines continue to run.
 */
export function stopServices(init: Init, host: Host, say: Say, command: Run): void {
  for (const service of SERVICES.toReversed()) {
    const work = command(...init.status(service)).code === 0 ? workOf(service, command) : null;
    if (work !== null) say(`${work}: they end with it; a pull that is asked for again is resumed`);
    const watched = init.watched(service, host.has);
    // The link is removed first, or the init would start the service again.
    if (watched !== null) rmSync(host.locate(watched), { force: true });
    command(...init.stop(service));
    for (const path of init.state(service)) rmSync(path, { recursive: true, force: true });
  }
}

function must(command: Run, words: readonly string[]): void {
  const { code, output } = command(...words);
  if (code !== 0) throw new SetupError(`'${words.join(" ")}' failed: ${output}`);
}
