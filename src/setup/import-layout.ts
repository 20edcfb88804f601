// What of the transfer daemon goes where on a host: its programs and the names other programs call them by, units, bus
// and polkit files, completion. By the rules of layout.ts: nothing of the distribution is overwritten.
import { accessSync, constants, lstatSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import import1Policy from "../../install/dbus-1/system.d/org.freedesktop.import1.conf" with { type: "text" };
import import1Activation from "../../install/dbus-1/system-services/org.freedesktop.import1.service" with {
  type: "text",
};
import import1Actions from "../../install/polkit-1/actions/org.freedesktop.import1.policy" with { type: "text" };
import allowExecutableMemory from "../../install/systemd/allow-executable-memory.conf" with { type: "text" };
import importdService from "../../install/systemd/systemd-importd.service" with { type: "text" };
import importdSocket from "../../install/systemd/systemd-importd.socket" with { type: "text" };
import type { Host } from "./host.ts";
import { missingActions } from "./polkit.ts";
import type { Wanted } from "./wanted.ts";

const IMPORT_UNIT = "/etc/systemd/system/systemd-importd.service";
export const IMPORT_SOCKET_UNIT = "/etc/systemd/system/systemd-importd.socket";

const OWN = "/usr/local/lib/machined";
const SYSTEMD = "/usr/lib/systemd";
const UNITS = "/etc/systemd/system";
const WORKERS = ["systemd-pull", "systemd-import", "systemd-import-fs", "systemd-export"];

/** The daemon, its client and its workers: other names of the one executable. */
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

/** systemd-sysupdate(8) and others call the workers by their whole path: linked there where the host has none itself. */
function calledByOthers(host: Host, name: string): Wanted[] {
  const path = join(SYSTEMD, name);
  const target = join(OWN, name);
  const isFree = isMissingOr(host, path, target) && isWritable(host, SYSTEMD);
  return isFree ? [{ kind: "link", path, target }] : [];
}

/** Whether nothing stands at the path, or our link of an earlier installation. */
function isMissingOr(host: Host, path: string, target: string): boolean {
  const located = join(host.root, path);
  try {
    return lstatSync(located).isSymbolicLink() && readlinkSync(located) === target;
  } catch {
    return true;
  }
}

function isWritable(host: Host, path: string): boolean {
  try {
    accessSync(join(host.root, path), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** What starts the workers with MemoryDenyWriteExecute=yes: systemd-sysupdate(8), by itself or for its daemon of 257. */
const HARDENED_CALLERS = [
  "systemd-sysupdate.service",
  "systemd-sysupdate@.service",
  "systemd-sysupdate-update.service",
  "systemd-sysupdated.service",
];

/** Drop-ins for units that start our workers, where it is ours that they start. They harm nobody where a unit is absent. */
export function callerDropIns(host: Host): Wanted[] {
  if (WORKERS.every((name) => calledByOthers(host, name).length === 0)) return [];
  return HARDENED_CALLERS.map((unit) => {
    return { kind: "file", path: join(UNITS, `${unit}.d/machined.conf`), text: allowExecutableMemory };
  });
}

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

/** The actions that the host lacks, in a file of their own in the given directory. */
export function importPolkitFiles(host: Host, directory: string): Wanted[] {
  const path = join(directory, "machined-import.policy");
  const text = missingActions(host, import1Actions, path);
  return text === null ? [] : [{ kind: "file", path, text, dependsOnHost: true }];
}

function isMasked(host: Host): boolean {
  try {
    return readlinkSync(join(host.root, IMPORT_UNIT)) === "/dev/null";
  } catch {
    return false;
  }
}

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
    // A host that masked the service keeps it masked.
    ...(isMasked(host) ? [] : [{ kind: "file", path: IMPORT_UNIT, text: importdService } as const]),
  ];
}
