// s6 as process 1: a service directory for each daemon, and a link to it in the scan directory of s6-svscan(8).
import { join } from "node:path";
import runScript from "../../../install/inits/s6.sh" with { type: "text" };
import checkScript from "../../../install/inits/supervised-check.sh" with { type: "text" };
import logScript from "../../../install/inits/supervised-log.sh" with { type: "text" };
import type { Wanted } from "../wanted.ts";
import { type Command, type Init, link, none, script } from "./init.ts";
import { fill, type Service } from "./services.ts";

/** How long a start, restart or stop may take, in milliseconds. */
const LIMIT_MS = "20000";
/** When a daemon that ignores SIGTERM is killed, in milliseconds. */
const KILL_MS = "15000";

/**
 * The service directories are not in /etc/s6, which is the scan directory of some hosts: s6-svscan(8) takes every
 * directory there for a service.
 */
const directory = ({ name }: Service): string => join("/etc/machined/s6", name);

const setting = (path: string, value: string): Wanted => {
  return { kind: "file", path, text: `${value}\n`, dependsOnHost: true };
};

const svwait = (service: Service, limitMs: string): Command => ["s6-svwait", "-U", "-t", limitMs, directory(service)];

/** Returns s6 with a scan directory. */
export function s6(scanDirectory: string): Init {
  return {
    name: "s6",
    files: (service) => {
      const top = directory(service);
      return [
        script(join(top, "run"), fill(runScript, service)),
        script(join(top, "log/run"), fill(logScript, service)),
        script(join(top, "data/check"), fill(checkScript, service)),
        setting(join(top, "notification-fd"), "3"),
        setting(join(top, "timeout-kill"), KILL_MS),
        // The last one, because s6-svscan(8) may read the directory at any moment, and starts what it finds.
        link(join(scanDirectory, service.name), top),
      ];
    },
    enable: none,
    disable: none,
    start: (service) => [
      ["s6-svscanctl", "-a", scanDirectory],
      ["s6-svc", "-u", directory(service)],
      svwait(service, LIMIT_MS),
    ],
    restart: (service) => ["s6-svc", "-wR", "-T", LIMIT_MS, "-r", directory(service)],
    status: (service) => svwait(service, "1000"),
    stop: ({ name }) => ["s6-svunlink", "-t", LIMIT_MS, scanDirectory, name],
    state: (service) =>
      ["supervise", "event", "log/supervise", "log/event"].map((name) => join(directory(service), name)),
    // s6-svscanctl(8) does not wait until s6-supervise(8) of a new service listens.
    noticeMs: 15_000,
    // s6-svunlink(8) removes the link.
    watched: none,
  };
}
