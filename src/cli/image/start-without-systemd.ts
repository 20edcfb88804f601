// `machinectl start` on hosts where systemd does not run: starts systemd-nspawn(1) with the command line of
// systemd-nspawn@.service, in a control group with the name of that unit. It continues when the client ends.

import { closeSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cgroupDirectory } from "../../kernel/cgroup/cgroup.ts";
import { programPath } from "../../kernel/process/program-path.ts";
import { NotifyListener } from "../../kernel/socket/notify-listener.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { checkImage, unitOf } from "./units.ts";

const NSPAWN = "systemd-nspawn";
const BUS = "/run/dbus/system_bus_socket";
const OPTIONS = [
  "--quiet",
  "--keep-unit",
  "--boot",
  "--link-journal=try-guest",
  "--network-veth",
  "-U",
  "--settings=override",
  // Output on the machine's console is not read by anybody.
  "--console=passive",
];
const MESSAGE_LIMIT_BYTES = 64 * 1024;

/**
 * A shell script that does the work of the unit, with the control group, the root control group and a command as
 * arguments: it moves itself to the control group, runs the command again while that exits with 133, by which
 * systemd-nspawn requests a reboot of the machine, and removes the control group at the end.
 */
const UNIT = `group=$1 root=$2; shift 2
mkdir -p "$group" && echo $$ >"$group/cgroup.procs" || exit 1
status=133
while [ "$status" = 133 ]; do status=0; "$@" || status=$?; done
echo $$ >"$root/cgroup.procs"
find "$group" -depth -type d -exec rmdir {} +
exit "$status"`;

/**
 * Whether a service manager can start units: systemd runs on this host, or another manager is addressed (-H, -M,
 * --user).
 */
export function hasUnits({ ports, settings }: Session): boolean {
  return settings.transport.kind !== "local" || settings.scope !== "system" || ports.isThere("/run/systemd/system");
}

/**
 * Throws a Failure if this host cannot run images without systemd; the message says how to start the machine instead.
 */
function checkHost({ ports, settings }: Session): void {
  const byHand = "start it by hand, and make it known with 'machinectl register NAME --leader=PID'";
  if (settings.runner !== "nspawn") throw new Failure(`systemd does not run here to start virtual machines: ${byHand}`);
  if (programPath(NSPAWN) === null) {
    throw new Failure(`systemd does not run here, and there is no ${NSPAWN}(1): install it, or ${byHand}`);
  }
  if (ports.euid !== 0) throw new Failure("Only root can start images where systemd does not run");
  if (!ports.isThere(BUS)) {
    throw new Failure(`${NSPAWN}(1) registers machines on the system bus, which does not run: start it, or ${byHand}`);
  }
}

/**
 * Opens a temporary file that has been deleted, for the messages of systemd-nspawn. With a pipe, its writes would fail
 * once this client has ended.
 */
function openMessages(): number {
  const directory = mkdtempSync(join(tmpdir(), "machinectl-start-"));
  try {
    return openSync(join(directory, "messages"), "wx+", 0o600);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function readMessages(fd: number): string {
  const bytes = Buffer.alloc(MESSAGE_LIMIT_BYTES);
  return bytes.toString("utf8", 0, readSync(fd, bytes, 0, bytes.length, 0)).trim();
}

/**
 * Starts one image; returns when systemd-nspawn reports READY=1, which is when the init process has been started.
 * Throws a Failure with the messages of systemd-nspawn if it ends before.
 */
async function startImage(session: Session, name: string): Promise<void> {
  const ready = Promise.withResolvers<"ready">();
  using notified = new NotifyListener({ abstract: `machinectl-start-${process.pid}-${name}` }, ({ values, sender }) => {
    if (sender.uid === 0 && values.get("READY") === "1") ready.resolve("ready");
  });
  const messages = openMessages();
  try {
    const group = cgroupDirectory(`/machine.slice/${unitOf(session, name)}`);
    const command = [NSPAWN, ...OPTIONS, `--machine=${name}`];
    const child = Bun.spawn(["/bin/sh", "-c", UNIT, "sh", group, cgroupDirectory("/"), ...command], {
      cwd: "/",
      detached: true,
      env: { PATH: process.env["PATH"], NOTIFY_SOCKET: notified.address },
      stdio: ["ignore", messages, messages],
    });
    const first = await Promise.race([ready.promise, child.exited]);
    child.unref();
    if (first === "ready") return;
    throw new Failure(`Failed to start '${name}', ${NSPAWN} ended with ${first}: ${readMessages(messages)}`);
  } finally {
    closeSync(messages);
  }
}

/** The verb `start` on hosts without systemd. All names are checked before anything is started. */
export async function startWithoutSystemd(session: Session, names: readonly string[]): Promise<number> {
  checkHost(session);
  for (const name of names) await checkImage(session, name);
  for (const name of names) await startImage(session, name);
  return 0;
}
