// Inits other than systemd (sysvinit, OpenRC, runit; s6 is in s6.ts): for each the files of a service, and the commands
// that enable, start and stop it.
import { join } from "node:path";
import openrcScript from "../../../install/inits/openrc.sh" with { type: "text" };
import supervisedScript from "../../../install/inits/supervised.sh" with { type: "text" };
import checkScript from "../../../install/inits/supervised-check.sh" with { type: "text" };
import logScript from "../../../install/inits/supervised-log.sh" with { type: "text" };
import sysvinitScript from "../../../install/inits/sysvinit.sh" with { type: "text" };
import type { Host } from "../host.ts";
import type { Wanted } from "../wanted.ts";
import { type Command, type Has, type Init, link, none, script } from "./init.ts";
import { runlevels } from "./recognise.ts";
import { s6 } from "./s6.ts";
import { findScanDirectory } from "./scan-directory.ts";
import { fill, type Service } from "./services.ts";

const initScript = ({ name }: Service): string => join("/etc/init.d", name);
const action =
  (word: string) =>
  (service: Service): Command => [initScript(service), word];

/** Whether the host has Debian's update-rc.d, which makes the links in the runlevels and orders the scripts. */
const hasIndex = (has: Has): boolean => has("/usr/sbin/update-rc.d") || has("/sbin/update-rc.d");

const SYSVINIT: Init = {
  name: "sysvinit",
  files: (service, has) => [
    script(initScript(service), fill(sysvinitScript, service)),
    ...(hasIndex(has) ? [] : runlevelLinks(service, has)),
  ],
  enable: ({ name }, has) => (hasIndex(has) ? ["update-rc.d", name, "defaults"] : null),
  disable: ({ name }, has) => (hasIndex(has) ? ["update-rc.d", name, "remove"] : null),
  start: (service) => [action("start")(service)],
  restart: action("restart"),
  status: action("status"),
  stop: action("stop"),
  state: () => [],
  noticeMs: 0,
  watched: none,
};

/**
 * Returns links that start a service late and stop it early; one that starts after another service has the higher
 * number.
 */
function runlevelLinks(service: Service, has: Has): Wanted[] {
  const directory = runlevels(has) ?? "/etc";
  const [start, stop] = service.after === null ? ["S90", "K10"] : ["S91", "K09"];
  const levels = [0, 1, 2, 3, 4, 5, 6].filter((level) => has(`${directory}/rc${level}.d`));
  return levels.map((level) => {
    const prefix = level >= 2 && level <= 5 ? start : stop;
    return link(`${directory}/rc${level}.d/${prefix}${service.name}`, initScript(service));
  });
}

const rcService =
  (word: string) =>
  ({ name }: Service): Command => ["rc-service", name, word];

const OPENRC: Init = {
  name: "OpenRC",
  files: (service) => [
    script(initScript(service), fill(openrcScript, service)),
    link(`/etc/runlevels/default/${service.name}`, initScript(service)),
  ],
  enable: none,
  disable: none,
  start: (service) => [rcService("start")(service)],
  restart: rcService("restart"),
  status: rcService("status"),
  stop: rcService("stop"),
  state: () => [],
  noticeMs: 0,
  watched: none,
};

const serviceDirectory = ({ name }: Service): string => join("/etc/sv", name);
const sv =
  (...words: string[]) =>
  (service: Service): Command => ["sv", "-w", "20", ...words, serviceDirectory(service)];

/** Returns the directory that runsvdir(8) watches. /var/service and /etc/service may be links to the first one. */
function runsvdir(has: Has): string {
  return ["/etc/runit/runsvdir/default", "/var/service"].find(has) ?? "/etc/service";
}

const state = ({ name }: Service): readonly string[] => [`/run/runit-${name}`, `/run/runit-${name}-log`];

const RUNIT: Init = {
  name: "runit",
  files: (service, has) => {
    const directory = serviceDirectory(service);
    return [
      script(join(directory, "run"), fill(supervisedScript, service)),
      script(join(directory, "log/run"), fill(logScript, service)),
      script(join(directory, "check"), fill(checkScript, service)),
      // Links, so that runsv(8) keeps its state in /run and not in /etc.
      ...["supervise", "log/supervise"].map((name, index) => link(join(directory, name), state(service)[index] ?? "")),
      link(join(runsvdir(has), service.name), directory),
    ];
  },
  enable: none,
  disable: none,
  start: (service) => [sv("start")(service)],
  restart: sv("force-restart"),
  status: sv("check"),
  stop: sv("force-shutdown"),
  state,
  // runsvdir(8) reads the directory every five seconds.
  noticeMs: 15_000,
  watched: ({ name }, has) => join(runsvdir(has), name),
};

const INITS: readonly Init[] = [SYSVINIT, OPENRC, RUNIT];

/**
 * Returns the init of a host or a tree; null for systemd, whose units are in layout/machined.ts, and for inits that are
 * not supported, whose reason refusalOn() returns.
 */
export function initOn(host: Host): Init | null {
  const { init } = host;
  if (init !== "s6") return INITS.find(({ name }) => name === init) ?? null;
  const found = findScanDirectory(host);
  return "path" in found ? s6(found.path) : null;
}

/**
 * Returns why no services can be installed on a host with s6, and what to do with the daemons in the directory
 * `installed` instead; null if they can be.
 */
export function refusalOn(host: Host, installed: string): string | null {
  if (host.init !== "s6") return null;
  const found = findScanDirectory(host, installed);
  return "problem" in found ? `No service can be installed for s6: ${found.problem}` : null;
}
