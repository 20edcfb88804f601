// The transient unit that a machine of `run` is (org.freedesktop.systemd1(5), StartTransientUnit). The unit owns the machine and
// what is to be removed with it: neither depends on the client.
import { realpathSync } from "node:fs";
import { Variant } from "../../base/variant.ts";
import { INSTALLED_PROGRAM } from "../../base/vocabulary/installation.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { attempt, Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { endedWell, JobWatch } from "../unit/jobs.ts";
import { packOrder, type RunOrder, runtimeDirectory, unitOfRun } from "./order.ts";

const SYSTEMD = {
  destination: "org.freedesktop.systemd1",
  path: "/org/freedesktop/systemd1",
  interface: "org.freedesktop.systemd1.Manager",
} as const;
const USEC_PER_SEC = 1_000_000n;
const NO_LIMIT = 2n ** 64n - 1n;
/** A machine that is thrown away need not end in peace. */
const STOP_SECONDS = { kept: 90n, temporary: 15n } as const;
const TASKS_MAX = 16384n;
/** What systemd-nspawn ends with where the machine is to be started again. */
const REBOOT = 133;
/** As in systemd-nspawn@.service. */
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

/** How root runs a hidden verb. Other users can only have what root has installed run as root. */
function ownVerb(session: Session, words: readonly string[]): [string, string[], boolean] {
  const own = realpathSync(process.execPath);
  if (session.ports.euid !== 0 && own !== INSTALLED_PROGRAM && !session.ports.isThere(INSTALLED_PROGRAM)) {
    throw new Failure("Only root can run images with a machinectl that is not installed ('machined install')");
  }
  const program = session.ports.euid === 0 ? own : INSTALLED_PROGRAM;
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
    ["Type", text("notify")],
    // Where the machine lives for one command, nspawn is a child of the main process.
    ["NotifyAccess", text(life === null ? "main" : "all")],
    ["KillMode", text("mixed")],
    ["Delegate", new Variant("b", true)],
    ["TasksMax", new Variant("t", TASKS_MAX)],
    ["CollectMode", text("inactive-or-failed")],
    ["RuntimeDirectory", new Variant("as", [runtimeDirectory(order.machine)])],
    ["RuntimeDirectoryPreserve", text("restart")],
    ["SuccessExitStatus", new Variant("(aiai)", [[REBOOT], []])],
    ["RestartForceExitStatus", new Variant("(aiai)", [[REBOOT], []])],
    // A clone may be a copy, and a machine may take its time to start.
    ["TimeoutStartUSec", new Variant("t", NO_LIMIT)],
    ["TimeoutStopUSec", new Variant("t", seconds * USEC_PER_SEC)],
    ["DevicePolicy", text("closed")],
    ["DeviceAllow", new Variant("a(ss)", DEVICES)],
    ...(life === null ? [] : [["StandardInputFileDescriptor", new Variant("h", life)] as const]),
    ["ExecStart", commands(["run-machine", packOrder(order)])],
    ["ExecStopPost", commands(["run-remove", order.machine])],
  ];
}

async function lastLines(session: Session, unit: string): Promise<string[]> {
  const journal = [
    "journalctl",
    "--quiet",
    "--no-pager",
    "--boot",
    "--output=cat",
    "--lines=5",
    `_SYSTEMD_UNIT=${unit}`,
  ] as const;
  const text = await session.ports.run({ argv: journal });
  return (text ?? "").split("\n").filter((line) => line !== "");
}

/** Starts the unit and waits until the machine runs. `life` is what the unit reads: it ends when nobody can write there. */
export async function startRun(session: Session, order: RunOrder, life: Fd | null): Promise<void> {
  const unit = unitOfRun(order.machine);
  const failure = `Cannot run image '${order.image}' as machine '${order.machine}'`;
  const watch = await attempt(failure, async () => JobWatch.start(await session.bus()));
  const body = [unit, "fail", propertiesOf(session, order, life), []];
  const signature = "ssa(sv)a(sa(sv))";
  const [job] = await attempt(failure, () =>
    session.callBus({ ...SYSTEMD, member: "StartTransientUnit", signature, body }),
  );
  const [removed] = await watch.wait([String(job)]);
  if (removed !== undefined && endedWell(removed)) return;
  const lines = await lastLines(session, unit);
  const reason = lines.length === 0 ? `'journalctl --unit=${unit}' says why` : lines.join("\n");
  throw new Failure(`${failure}: ${reason}`);
}

/** Ends the unit, and waits until nothing is left of it. */
export async function stopRun(session: Session, machine: string): Promise<void> {
  const watch = await JobWatch.start(await session.bus());
  const body = [unitOfRun(machine), "replace"];
  const [job] = await session.callBus({ ...SYSTEMD, member: "StopUnit", signature: "ss", body });
  await watch.wait([String(job)]);
}
