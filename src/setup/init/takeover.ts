// Enables, starts and stops the services on hosts with another init than systemd.
import { rmSync } from "node:fs";
import type { Say } from "../apply.ts";
import { SetupError } from "../error.ts";
import type { Host } from "../host.ts";
import type { Run } from "../run-command.ts";
import type { Command, Init } from "./init.ts";
import { SERVICES, type Service } from "./services.ts";

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

/**
 * Returns the message about a running service that must not end now, because it has transfers or did not say whether it
 * has; null for others.
 */
function workOf({ name, listWork }: Service, command: Run): string | null {
  if (listWork === null) return null;
  const { code, stdout } = command(process.execPath, ...listWork);
  if (code !== 0) return `${name} did not say whether it has active transfers`;
  return stdout === "" ? null : `${name} has active transfers`;
}

/**
 * Starts the services; those that run are restarted, unless `isUnchanged`. One with active transfers, or that cannot be
 * asked, continues as it is. Throws a SetupError.
 */
export function startServices(init: Init, isUnchanged: boolean, say: Say, command: Run): void {
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
    else startService(init, service, command);
    say(`${service.name} runs`);
  }
}

/** Starts a service; retries while the init may not know it yet. */
function startService(init: Init, service: Service, command: Run): void {
  for (const deadline = performance.now() + init.noticeMs; ; Bun.sleepSync(POLL_MS)) {
    const failure = runInOrder(init.start(service), command);
    if (failure === null) return;
    if (performance.now() >= deadline) throw new SetupError(failure);
  }
}

/** Runs commands until one fails; returns why it failed, or null. */
function runInOrder(commands: readonly Command[], command: Run): string | null {
  for (const words of commands) {
    const { code, output } = command(...words);
    if (code !== 0) return `'${words.join(" ")}' failed: ${output}`;
  }
  return null;
}

/**
 * Stops the services, also one with active transfers, which is printed: without its files nothing would stop it later.
 * To be called before the files are removed. Machines continue to run.
 */
export function stopServices(init: Init, host: Host, say: Say, command: Run): void {
  for (const service of SERVICES.toReversed()) {
    const work = command(...init.status(service)).code === 0 ? workOf(service, command) : null;
    if (work !== null) say(`${work}: they end with it; a pull that is asked for again is resumed`);
    const watched = init.watched(service, host.has);
    // The link is removed first, or the init would start the service again.
    if (watched !== null) rmSync(host.locate(watched), { force: true });
    command(...init.stop(service));
  }
}

/** Removes what the init has made for the services. To be called when they have been stopped. */
export function removeState(init: Init, host: Host): void {
  const paths = SERVICES.flatMap((service) => init.state(service));
  for (const path of paths) rmSync(host.locate(path), { recursive: true, force: true });
}

function must(command: Run, words: Command): void {
  const failure = runInOrder([words], command);
  if (failure !== null) throw new SetupError(failure);
}
