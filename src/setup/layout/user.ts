// The files for daemons of users (`--user`), and their places on a host: units of the user's service manager, and
// activation files of the user's bus. The rules are those of machined.ts: nothing of the distribution is overwritten.
import { join } from "node:path";
import import1Activation from "../../../install/dbus-1/services/org.freedesktop.import1.service" with { type: "text" };
import machine1Activation from "../../../install/dbus-1/services/org.freedesktop.machine1.service" with {
  type: "text",
};
import machineSlice from "../../../install/systemd/machine.slice" with { type: "text" };
import importdService from "../../../install/systemd-user/systemd-importd.service" with { type: "text" };
import importdSocket from "../../../install/systemd-user/systemd-importd.socket" with { type: "text" };
import machinedService from "../../../install/systemd-user/systemd-machined.service" with { type: "text" };
import machinedSocket from "../../../install/systemd-user/systemd-machined.socket" with { type: "text" };
import type { Host } from "../host.ts";
import type { Wanted } from "../wanted.ts";

const UNITS = "/etc/systemd/user";

/** A daemon that users can run: its bus name, the name of its units, and the texts of its files. */
interface UserDaemon {
  readonly bus: string;
  readonly unit: string;
  readonly service: string;
  readonly socket: string;
  readonly activation: string;
}

const DAEMONS: readonly UserDaemon[] = [
  {
    bus: "org.freedesktop.machine1",
    unit: "systemd-machined",
    service: machinedService,
    socket: machinedSocket,
    activation: machine1Activation,
  },
  {
    bus: "org.freedesktop.import1",
    unit: "systemd-importd",
    service: importdService,
    socket: importdSocket,
    activation: import1Activation,
  },
];

/** Returns the units and bus files for users, in the order of their making. */
export function userFiles(host: Host): Wanted[] {
  return [...slice(host), ...DAEMONS.flatMap((daemon) => filesOf(host, daemon))];
}

function hasUnit(host: Host, name: string): boolean {
  return host.hasAny([`/usr/lib/systemd/user/${name}`, `/lib/systemd/user/${name}`]);
}

function slice(host: Host): Wanted[] {
  const name = "machine.slice";
  return hasUnit(host, name) ? [] : [{ kind: "file", path: join(UNITS, name), text: machineSlice }];
}

function filesOf(host: Host, { bus, unit, ...texts }: UserDaemon): Wanted[] {
  const [service, socket, alias] = [`${unit}.service`, `${unit}.socket`, `dbus-${bus}.service`];
  const link = (path: string, target: string): Wanted => ({
    kind: "link",
    path: join(UNITS, path),
    target: join(UNITS, target),
  });
  const activation = `dbus-1/services/${bus}.service`;
  const wanted: Wanted[] = [];
  if (!hasUnit(host, socket)) {
    wanted.push({ kind: "file", path: join(UNITS, socket), text: texts.socket });
    wanted.push(link(`sockets.target.wants/${socket}`, socket));
  }
  if (!hasUnit(host, alias)) wanted.push(link(alias, service));
  if (host.hasBus && !host.hasAny([`/usr/share/${activation}`])) {
    wanted.push({ kind: "file", path: `/usr/local/share/${activation}`, text: texts.activation });
  }
  wanted.push({ kind: "file", path: join(UNITS, service), text: texts.service });
  return wanted;
}
