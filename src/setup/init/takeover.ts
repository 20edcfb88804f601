// Starts, ends and enables the services of a host whose init is not systemd.
import { rmSync } from "node:fs";
import type { Say } from "../apply.ts";
import type { Host } from "../host.ts";
import { SetupError } from "../setup-error.ts";
import type { Run } from "../takeover.ts";
import type { Init } from "./inits.ts";
import { SERVICES, type Service } from "./services.ts";

/** How long an init that looks for new services by itself may take to find one: runsvdir(8) looks every five seconds. */
const NOTICE_MS = 15_000;
const POLL_MS = 100;

/** A command for the host: in a tree of files, it is run there. */
function inHost(host: Host, command: readonly string[]): readonly string[] {
  return host.isLive ? command : ["chroot", host.root, ...command];
}

/** What is still to be run after the files of an installation are there. */
export function enablingCommands(init: Init, host: Host): string[][] {
  const commands = SERVICES.map((service) => init.enable(service, host.has));
  return commands.filter((command) => command !== null).map((command) => [...inHost(host, command)]);
}

/** Lets the services start at boot; their files are there. Throws a SetupError. */
export function enableServices(init: Init, host: Host, command: Run): void {
  for (const words of enablingCommands(init, host)) must(command, words);
}

/** The reverse, after the files are gone. What fails is said: the files, without which nothing starts, are gone anyway. */
export function disableServices(init: Init, host: Host, say: Say, command: Run): void {
  for (const service of SERVICES.toReversed()) {
    const words = init.disable(service, host.has);
    if (words === null) continue;
    const { code, output } = command(...inHost(host, words));
    if (code !== 0) say(`'${words.join(" ")}' failed: ${output}`);
  }
}

/** Starts the services; those that run are started again unless nothing was changed. Throws a SetupError. */
export function startServices(init: Init, host: Host, isUnchanged: boolean, say: Say, command: Run): void {
  for (const service of SERVICES) {
    const isRunning = command(...init.status(service)).code === 0;
    if (isRunning && isUnchanged) {
      say(`${service.name} runs already`);
      continue;
    }
    if (isRunning) must(command, init.restart(service));
    else startService(init, host, service, command);
    say(`${service.name} runs`);
  }
}

function startService(init: Init, host: Host, service: Service, command: Run): void {
  const words = init.start(service);
  const patienceMs = init.watched(service, host.has) === null ? 0 : NOTICE_MS;
  for (const deadline = performance.now() + patienceMs; ; Bun.sleepSync(POLL_MS)) {
    const { code, output } = command(...words);
    if (code === 0) return;
    if (performance.now() >= deadline) throw new SetupError(`'${words.join(" ")}' failed: ${output}`);
  }
}

/** Ends the services, before their files go. Machines run on. */
export function stopServices(init: Init, host: Host, command: Run): void {
  for (const service of SERVICES.toReversed()) {
    const watched = init.watched(service, host.has);
    // First the link, or what is ended would be started again.
    if (watched !== null) rmSync(host.locate(watched), { force: true });
    command(...init.stop(service));
    for (const path of init.state(service)) rmSync(path, { recursive: true, force: true });
  }
}

function must(command: Run, words: readonly string[]): void {
  const { code, output } = command(...words);
  if (code !== 0) throw new SetupError(`'${words.join(" ")}' failed: ${output}`);
}
