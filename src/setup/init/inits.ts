// Inits other than systemd (sysvinit, OpenRC, runit): for each the files of a service, and the commands that enable,
// start and stop it.
import { join } from "node:path";
import openrcScript from "../../../install/inits/openrc.sh" with { type: "text" };
import supervisedScript from "../../../install/inits/supervised.sh" with { type: "text" };
import checkScript from "../../../install/inits/supervised-check.sh" with { type: "text" };
import logScript from "../../../install/inits/supervised-log.sh" with { type: "text" };
import sysvinitScript from "../../../install/inits/sysvinit.sh" with { type: "text" };
import type { Wanted } from "../wanted.ts";
import { type InitName, runlevels, type Signs } from "./recognise.ts";
import { fill, type Service } from "./services.ts";

type Command = readonly string[];
type Has = Signs["has"];

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
  /** These return commands; `status` succeeds if the service runs. */
  readonly start: (service: Service) => Command;
  readonly restart: (service: Service) => Command;
  readonly status: (service: Service) => Command;
  readonly stop: (service: Service) => Command;
  /** Returns directories in /run that the init makes for the service and does not remove. */
  readonly state: (service: Service) => readonly string[];
  /**
   * Returns the link whose existence makes the init start the service at once; null for inits that start it at boot
   * only.
   */
  watched(service: Service, has: Has): string | null;
}

const script = (path: string, text: string): Wanted => {
  return { kind: "file", path, text, isExecutable: true, dependsOnHost: true };
};
const link = (path: string, target: string): Wanted => ({ kind: "link", path, target });
const none = () => null;

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
  start: action("start"),
  restart: action("restart"),
  status: action("status"),
  stop: action("stop"),
  state: () => [],
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
  start: rcService("start"),
  restart: rcService("restart"),
  status: rcService("status"),
  stop: rcService("stop"),
  state: () => [],
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
  start: sv("start"),
  restart: sv("force-restart"),
  status: sv("check"),
  stop: sv("force-shutdown"),
  state,
  watched: ({ name }, has) => join(runsvdir(has), name),
};

const INITS: readonly Init[] = [SYSVINIT, OPENRC, RUNIT];

/** Returns the row of an init; null for systemd, whose units are in layout.ts, and for inits that are not supported. */
export function initNamed(name: InitName | null): Init | null {
  return INITS.find((init) => init.name === name) ?? null;
}
