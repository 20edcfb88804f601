// Starts and stops the transient unit of a machine of `run` (org.freedesktop.systemd1(5), StartTransientUnit()). The
// unit, not the client, owns the machine and removes its clone at the end.

import { realpathSync } from "node:fs";
import { Variant } from "../../base/variant.ts";
import { SYSTEMD1_NAME } from "../../base/vocabulary/bus-peers.ts";
import { installedProgram } from "../../base/vocabulary/installation.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { attempt, Failure, isBusFailure, orNull } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { endedWell, JobWatch } from "../unit/jobs.ts";
import { packOrder, type RunOrder, runtimeDirectory, unitOfRun } from "./order.ts";

const UNIT_EXISTS = `${SYSTEMD1_NAME}.UnitExists`;
const USEC_PER_SEC = 1_000_000n;
const NO_LIMIT = 2n ** 64n - 1n;
/** The time for a shutdown; shorter for a machine whose files are removed anyway. */
const STOP_SECONDS = { kept: 90n, temporary: 15n } as const;
const TASKS_MAX = 16384n;
/** The manager, and the bus that leads to it. */
const MANAGER_UNITS = ["dbus.service", "systemd-machined.service"];
/** The exit status of systemd-nspawn that requests a reboot of the machine. */
const REBOOT = 133;
/** The devices of systemd-vmspawn@.service. */
const VIRTUAL_DEVICES: readonly (readonly [string, string])[] = [
  ["/dev/net/tun", "rwm"],
  ["char-pts", "rw"],
  ["/dev/kvm", "rw"],
  ["/dev/vhost-vsock", "rw"],
  ["/dev/vhost-net", "rw"],
];
/** The devices of systemd-nspawn@.service. */
const DEVICES: readonly (readonly [string, string])[] = [
  ["/dev/net/tun", "rwm"],
  ["char-pts", "rw"],
  ["/dev/fuse", "rwm"],
  ["/dev/loop-control", "rw"],
  ["block-loop", "rw"],
  ["block-blkext", "rw"],
  ["/dev/mapper/control", "rw"],
  ["block-device-mapper", "rw"],
];

/**
 * Returns a command of the unit, in the form of ExecStart in D-Bus, that runs a hidden verb of this executable as root.
 * For other users it must be the installed executable, which only root can write.
 */
function ownVerb(session: Session, words: readonly string[]): [string, string[], boolean] {
  const own = realpathSync(process.execPath);
  const program = session.ports.euid === 0 ? own : installedProgram(session.ports.isThere);
  if (program === null) {
    throw new Failure("Only root can run images by a machinectl that was not installed with 'machined install'");
  }
  const isBuilt = import.meta.path.startsWith("/$bunfs/");
  const main = isBuilt ? [] : [new URL("../../main.ts", import.meta.url).pathname];
  return [program, [program, ...main, "machinectl", ...words], false];
}

function propertiesOf(session: Session, order: RunOrder, life: Fd | null): (readonly [string, Variant])[] {
  const text = (value: string) => new Variant("s", value);
  const seconds = order.isTemporary ? STOP_SECONDS.temporary : STOP_SECONDS.kept;
  const commands = (words: readonly string[]) => new Variant("a(sasb)", [ownVerb(session, words)]);
  return [
    ["Description", text(`Machine ${order.machine} of image ${order.image}`)],
    ["Slice", text("machine.slice")],
    // At the shutdown of the host, the clone is removed before the manager ends.
    ["After", new Variant("as", MANAGER_UNITS)],
    ["Type", text("notify")],
    // In a machine for one command, the runner is a child of the main process.
    ["NotifyAccess", text(life === null ? "main" : "all")],
    ["KillMode", text("mixed")],
    ["Delegate", new Variant("b", true)],
    ["TasksMax", new Variant("t", TASKS_MAX)],
    ["CollectMode", text("inactive-or-failed")],
    ["RuntimeDirectory", new Variant("as", [runtimeDirectory(order.machine)])],
    ["RuntimeDirectoryPreserve", text("restart")],
    ["SuccessExitStatus", new Variant("(aiai)", [[REBOOT], []])],
    ["RestartForceExitStatus", new Variant("(aiai)", [[REBOOT], []])],
    // The start includes the clone, which may be a full copy.
    ["TimeoutStartUSec", new Variant("t", NO_LIMIT)],
    ["TimeoutStopUSec", new Variant("t", seconds * USEC_PER_SEC)],
    ["DevicePolicy", text("closed")],
    ["DeviceAllow", new Variant("a(ss)", order.runner === "vmspawn" ? VIRTUAL_DEVICES : DEVICES)],
    ...(life === null ? [] : [["StandardInputFileDescriptor", new Variant("h", life)] as const]),
    ["ExecStart", commands(["run-machine", packOrder(order)])],
    ["ExecStopPost", commands(["run-remove", order.machine])],
  ];
}

/**
 * Returns the last lines that the unit has written since a time in µs since 1970, for the error message: earlier ones
 * are of another machine of the name.
 */
async function lastLines(session: Session, unit: string, sinceUsec: bigint): Promise<string[]> {
  const journal = [
    "journalctl",
    "--quiet",
    "--no-pager",
    "--boot",
    "--output=cat",
    "--lines=5",
    `--since=@${(Number(sinceUsec) / 1e6).toFixed(6)}`,
    `_SYSTEMD_UNIT=${unit}`,
  ] as const;
  // The journal may not have read the last lines yet. Only root may ask it for that.
  await session.ports.run({ argv: ["journalctl", "--sync"] });
  const text = await session.ports.run({ argv: journal });
  const lines = (text ?? "").split("\n").filter((line) => line !== "");
  // What systemd-nspawn of newer releases announces at each start is no reason.
  return lines.filter((line) => !line.startsWith("Note: "));
}

/**
 * Starts the unit and waits until the machine runs. `life` is the read end of a pipe for a machine for one command,
 * which ends when the last write end is closed; null for other machines. Throws a Failure with the last lines of the
 * unit's journal.
 */
export async function startRun(session: Session, order: RunOrder, life: Fd | null): Promise<void> {
  const unit = unitOfRun(order.machine);
  const failure = `Cannot run image '${order.image}' as machine '${order.machine}'`;
  const watch = await attempt(failure, async () => JobWatch.start(await session.bus("signals")));
  const begin = session.ports.nowUsec();
  const properties = propertiesOf(session, order, life);
  const { job } = await attempt(failure, async () => {
    try {
      return await session.serviceManager("StartTransientUnit", { name: unit, mode: "fail", properties, aux: [] });
    } catch (error) {
      if (!isBusFailure(error, UNIT_EXISTS)) throw error;
      throw new Failure(`Machine '${order.machine}' is being started or stopped by another call`, { cause: error });
    }
  });
  const [removed] = await watch.wait([job]);
  if (removed !== undefined && endedWell(removed)) return;
  // Where journalctl cannot be run, the failure itself is what the user has to know.
  const lines = (await orNull(lastLines(session, unit, begin))) ?? [];
  const reason = lines.length === 0 ? `'journalctl --unit=${unit}' says why` : lines.join("\n");
  throw new Failure(`${failure}: ${reason}`);
}

/** Stops the unit and waits for the end of the job. Throws error replies. */
export async function stopRun(session: Session, machine: string): Promise<void> {
  const watch = await JobWatch.start(await session.bus("signals"));
  const { job } = await session.serviceManager("StopUnit", { name: unitOfRun(machine), mode: "replace" });
  await watch.wait([job]);
}
