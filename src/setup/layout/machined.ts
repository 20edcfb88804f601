// The files of an installation and their places on a host. Nothing of the distribution is overwritten: a unit in /etc
// takes precedence over one in /usr/lib, a command in /usr/local/bin over one in /usr/bin, and files that the host has
// already are not made (`unless`).
//
// Activation files are in /usr/local/share/dbus-1/system-services, which dbus-daemon 1.14 and 1.16 and dbus-broker 36
// search before /usr/share; only newer ones search /etc/dbus-1/system-services.

import { dirname, join } from "node:path";
import machine1Policy from "../../../install/dbus-1/system.d/org.freedesktop.machine1.conf" with { type: "text" };
import machine1Activation from "../../../install/dbus-1/system-services/org.freedesktop.machine1.service" with {
  type: "text",
};
import machine1Actions from "../../../install/polkit-1/actions/org.freedesktop.machine1.policy" with { type: "text" };
import machineSlice from "../../../install/systemd/machine.slice" with { type: "text" };
import machinesTarget from "../../../install/systemd/machines.target" with { type: "text" };
import machinedService from "../../../install/systemd/systemd-machined.service" with { type: "text" };
import machinedSocket from "../../../install/systemd/systemd-machined.socket" with { type: "text" };
import tmpfiles from "../../../install/tmpfiles.d/machined.conf" with { type: "text" };
import { INSTALLED_PROGRAM } from "../../base/vocabulary/installation.ts";
import { completions } from "../completions.ts";
import type { Host } from "../host.ts";
import { initOn } from "../init/inits.ts";
import { SERVICES } from "../init/services.ts";
import { manuals } from "../manuals.ts";
import { asPackaged, isPackaged } from "../packaged.ts";
import { missingActions } from "../polkit.ts";
import type { Wanted } from "../wanted.ts";
import { execPrograms, execUnits } from "./exec.ts";
import { fleetUnits } from "./fleet.ts";
import { callerDropIns, importBusFiles, importPolkitFiles, importPrograms, importUnits } from "./import.ts";
import { metricsDashboard, metricsUnits } from "./metrics.ts";
import { presets } from "./presets.ts";
import { userFiles } from "./user.ts";

export const PROGRAM = INSTALLED_PROGRAM;
export const DAEMON = "/usr/local/lib/machined/systemd-machined";
export const MACHINECTL = "/usr/local/bin/machinectl";
export const UNIT = "/etc/systemd/system/systemd-machined.service";
export const SOCKET_UNIT = "/etc/systemd/system/systemd-machined.socket";
export const TMPFILES = "/etc/tmpfiles.d/machined.conf";

const UNITS = "/etc/systemd/system";

function program(): Wanted[] {
  return [
    { kind: "program", path: PROGRAM },
    { kind: "link", path: DAEMON, target: "machined" },
    { kind: "link", path: "/usr/local/bin/machined", target: "../lib/machined/machined" },
    { kind: "link", path: MACHINECTL, target: "../lib/machined/machined" },
    { kind: "link", path: "/usr/local/lib/machined/machined-inventory", target: "machined" },
    { kind: "link", path: "/usr/local/bin/nss-mymachines", target: "../lib/machined/machined" },
  ];
}

function busFiles(host: Host): Wanted[] {
  const activation = "org.freedesktop.machine1.service";
  return [
    // In addition to the distribution's policy: rules of both apply, so that calls of newer releases are allowed, too.
    { kind: "file", path: "/etc/dbus-1/system.d/org.freedesktop.machine1.conf", text: machine1Policy },
    ...unless(host.hasAny([`/usr/share/dbus-1/system-services/${activation}`]), {
      kind: "file",
      path: `/usr/local/share/dbus-1/system-services/${activation}`,
      text: machine1Activation,
    }),
  ];
}

function polkitFiles(host: Host): Wanted[] {
  const path = join(polkitDirectory(host), "machined.policy");
  const text = missingActions(host, machine1Actions, path);
  return text === null ? [] : [{ kind: "file", path, text, dependsOnHost: true }];
}

/**
 * Returns the directory for policy files. Every polkitd reads the one in /usr/share. Where that is read-only, as on
 * image-based systems, polkitd is new enough to read /etc.
 */
function polkitDirectory(host: Host): string {
  const shared = "/usr/share/polkit-1/actions";
  return host.isWritable(shared) ? shared : "/etc/polkit-1/actions";
}

function units(host: Host): Wanted[] {
  const link = (path: string, unit: string): Wanted => ({
    kind: "link",
    path: join(UNITS, path),
    target: join(UNITS, unit),
  });
  const unit = (name: string, text: string): Wanted => ({ kind: "file", path: join(UNITS, name), text });
  const has = (name: string) => host.hasAny([`/usr/lib/systemd/system/${name}`, `/lib/systemd/system/${name}`]);
  return [
    ...unless(host.hasAny(["/usr/lib/tmpfiles.d/systemd-nspawn.conf"]), {
      kind: "file",
      path: TMPFILES,
      text: tmpfiles,
    }),
    ...unless(has("machine.slice"), unit("machine.slice", machineSlice)),
    ...unless(
      has("machines.target"),
      unit("machines.target", machinesTarget),
      link("multi-user.target.wants/machines.target", "machines.target"),
    ),
    ...unless(
      has("systemd-machined.socket"),
      unit("systemd-machined.socket", machinedSocket),
      link("sockets.target.wants/systemd-machined.socket", "systemd-machined.socket"),
    ),
    ...unless(
      has("dbus-org.freedesktop.machine1.service"),
      link("dbus-org.freedesktop.machine1.service", "systemd-machined.service"),
    ),
    // The last file, because systemd starts the new daemon as soon as it exists.
    { kind: "file", path: UNIT, text: machinedService },
  ];
}

/** Returns the scripts that start the daemons on hosts with another init than systemd. */
function initFiles(host: Host): Wanted[] {
  const init = initOn(host);
  return init === null ? [] : SERVICES.flatMap((service) => init.files(service, host.has));
}

function unless(has: boolean, ...wanted: Wanted[]): Wanted[] {
  return has ? [] : wanted;
}

/** Returns all files for this host in the order of their making; `source` is the executable that is installed. */
export function layout(host: Host, source: string): Wanted[] {
  return isPackaged(source) ? asPackaged(ownLayout(host)) : ownLayout(host);
}

/**
 * Returns the same for an executable that does not belong to a package, so that every file is made by `machined
 * install`.
 */
export function ownLayout(host: Host): Wanted[] {
  return [
    ...program(),
    ...importPrograms(host),
    ...execPrograms(),
    ...completions(host),
    ...manuals(),
    metricsDashboard(),
    ...(host.hasPolkit ? [...polkitFiles(host), ...importPolkitFiles(host, polkitDirectory(host))] : []),
    ...(host.hasBus ? [...busFiles(host), ...importBusFiles(host)] : []),
    ...(host.hasSystemd
      ? [
          ...presets(),
          ...userFiles(host),
          ...importUnits(host),
          ...callerDropIns(host),
          ...execUnits(),
          ...metricsUnits(),
          ...fleetUnits(),
          ...units(host),
        ]
      : initFiles(host)),
  ];
}

/** Returns the directories above a path, outermost first, without `/`. */
export function parentsOf(path: string): string[] {
  const parents: string[] = [];
  for (let parent = dirname(path); parent !== "/"; parent = dirname(parent)) parents.unshift(parent);
  return parents;
}
