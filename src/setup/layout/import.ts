// The files of the transfer daemon, and their places on a host: programs, units, D-Bus and polkit files. The rules are
// those of machined.ts: nothing of the distribution is overwritten.

import { lstatSync, readlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import import1Policy from "../../../install/dbus-1/system.d/org.freedesktop.import1.conf" with { type: "text" };
import import1Activation from "../../../install/dbus-1/system-services/org.freedesktop.import1.service" with {
  type: "text",
};
import import1Actions from "../../../install/polkit-1/actions/org.freedesktop.import1.policy" with { type: "text" };
import allowExecutableMemory from "../../../install/systemd/allow-executable-memory.conf" with { type: "text" };
import importdService from "../../../install/systemd/systemd-importd.service" with { type: "text" };
import importdSocket from "../../../install/systemd/systemd-importd.socket" with { type: "text" };
import { meansNoFile, unlessNoFile } from "../../base/absence.ts";
import { errnoNameOf } from "../../base/error.ts";
import { PACKAGED_PROGRAM } from "../../base/vocabulary/installation.ts";
import type { Host } from "../host.ts";
import { missingActions } from "../polkit.ts";
import type { Wanted } from "../wanted.ts";

const IMPORT_UNIT = "/etc/systemd/system/systemd-importd.service";
export const IMPORT_SOCKET_UNIT = "/etc/systemd/system/systemd-importd.socket";

const OWN = "/usr/local/lib/machined";
const PACKAGE = dirname(PACKAGED_PROGRAM);
const SYSTEMD = "/usr/lib/systemd";
const UNITS = "/etc/systemd/system";
const WORKERS = ["systemd-pull", "systemd-import", "systemd-import-fs", "systemd-export"];

/** Returns the daemon, its client and its workers, which are links to the executable. */
export function importPrograms(host: Host): Wanted[] {
  const own = ["systemd-importd", ...WORKERS].map(
    (name): Wanted => ({ kind: "link", path: join(OWN, name), target: "machined" }),
  );
  return [
    ...own,
    { kind: "link", path: "/usr/local/bin/importctl", target: "../lib/machined/machined" },
    ...(host.hasSystemd ? WORKERS.flatMap((name) => calledByOthers(host, name)) : []),
  ];
}

/**
 * Returns a link at the path by which systemd-sysupdate(8) and others call a worker, if the distribution has no file
 * there.
 */
function calledByOthers(host: Host, name: string): Wanted[] {
  const path = join(SYSTEMD, name);
  const isFree = isMissingOr(host, path, [join(OWN, name), join(PACKAGE, name)]) && host.isWritable(SYSTEMD);
  return isFree ? [{ kind: "link", path, target: join(OWN, name) }] : [];
}

/**
 * Whether nothing exists at the path, or a link to one of `targets`, that of an earlier installation: copied, or from a
 * package.
 */
function isMissingOr(host: Host, path: string, targets: readonly string[]): boolean {
  const located = join(host.root, path);
  return unlessNoFile(() => lstatSync(located).isSymbolicLink() && targets.includes(readlinkSync(located)), true);
}

/**
 * Units with MemoryDenyWriteExecute=yes that start the workers: those of systemd-sysupdate(8), and its daemon since
 * 257.
 */
const HARDENED_CALLERS = [
  "systemd-sysupdate.service",
  "systemd-sysupdate@.service",
  "systemd-sysupdate-update.service",
  "systemd-sysupdated.service",
];

/**
 * Returns drop-ins that allow executable memory for HARDENED_CALLERS, if these start workers of this project. A drop-in
 * for a unit that does not exist has no effect.
 */
export function callerDropIns(host: Host): Wanted[] {
  if (WORKERS.every((name) => calledByOthers(host, name).length === 0)) return [];
  return HARDENED_CALLERS.map((unit) => {
    return { kind: "file", path: join(UNITS, `${unit}.d/machined.conf`), text: allowExecutableMemory };
  });
}

/** Returns the policy for the bus and, if the distribution has none, the activation file. */
export function importBusFiles(host: Host): Wanted[] {
  const activation = "org.freedesktop.import1.service";
  const policy: Wanted = {
    kind: "file",
    path: "/etc/dbus-1/system.d/org.freedesktop.import1.conf",
    text: import1Policy,
  };
  if (host.hasAny([`/usr/share/dbus-1/system-services/${activation}`])) return [policy];
  const path = `/usr/local/share/dbus-1/system-services/${activation}`;
  return [policy, { kind: "file", path, text: import1Activation }];
}

/** Returns a policy file in `directory` with the polkit actions that the host lacks; empty if it lacks none. */
export function importPolkitFiles(host: Host, directory: string): Wanted[] {
  const path = join(directory, "machined-import.policy");
  const text = missingActions(host, import1Actions, path);
  return text === null ? [] : [{ kind: "file", path, text, dependsOnHost: true }];
}

function isMasked(host: Host): boolean {
  try {
    return readlinkSync(join(host.root, IMPORT_UNIT)) === "/dev/null";
  } catch (error) {
    if (meansNoFile(error) || errnoNameOf(error) === "EINVAL") return false; // none, or no link
    throw error;
  }
}

/** Returns the units that the distribution does not have, and the service. */
export function importUnits(host: Host): Wanted[] {
  const has = (name: string) => host.hasAny([`/usr/lib/systemd/system/${name}`, `/lib/systemd/system/${name}`]);
  const link = (path: string, unit: string): Wanted => ({
    kind: "link",
    path: join(UNITS, path),
    target: join(UNITS, unit),
  });
  const socket = "systemd-importd.socket";
  const alias = "dbus-org.freedesktop.import1.service";
  return [
    ...(has(socket)
      ? []
      : [
          { kind: "file", path: IMPORT_SOCKET_UNIT, text: importdSocket } as const,
          link(`sockets.target.wants/${socket}`, socket),
        ]),
    ...(has(alias) ? [] : [link(alias, "systemd-importd.service")]),
    // If the administrator has masked the service, it stays masked.
    ...(isMasked(host) ? [] : [{ kind: "file", path: IMPORT_UNIT, text: importdService } as const]),
  ];
}
