// Queries the data of the extra columns that lists of machines can show: image, host name, memory, owner.

import { dirname } from "node:path";
import { unlessNoProcess } from "../../base/absence.ts";
import { IMAGE_SEARCH_PATHS } from "../../base/vocabulary/image-class.ts";
import { isHiddenProcess, PROC_HIDES } from "../session/hidden-processes.ts";
import { inParallel } from "../session/in-parallel.ts";
import type { Session } from "../session/session.ts";
import { type ExtraFacts, type Extras, NO_EXTRAS } from "./columns.ts";

const AT_ONCE = 16;

/** An instance of the templates that run images: `systemd-nspawn@web.service`. */
const IMAGE_UNIT = /^systemd-(?:nspawn|vmspawn)@(.+)\.service$/;
/** The name of the copy that systemd-nspawn --ephemeral makes of an image. */
const EPHEMERAL = /^\.#(?:machine\.)?(.+)[0-9a-f]{16}$/;

/**
 * Returns the image that the instance of a unit names. `machinectl start` does not escape the name: `web-1` is the
 * image web-1. Whoever starts the unit by hand may have escaped it (systemd.unit(5), "String Escaping"): `web\x2d1`.
 */
function imageOfInstance(instance: string): string {
  if (!instance.includes("\\x")) return instance;
  const bytes = instance
    .replaceAll("-", "/")
    .replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, "latin1").toString();
}

/**
 * Returns the name of the image that a machine was started from, found in its unit or root directory; null otherwise.
 */
export function imageOf({ unit, rootDirectory }: Pick<ExtraFacts, "unit" | "rootDirectory">): string | null {
  const instance = IMAGE_UNIT.exec(unit)?.[1];
  if (instance !== undefined) return imageOfInstance(instance);
  if (!IMAGE_SEARCH_PATHS.machine.includes(dirname(rootDirectory))) return null;
  const name = rootDirectory.slice(rootDirectory.lastIndexOf("/") + 1);
  return EPHEMERAL.exec(name)?.[1] ?? name.replace(/\.raw$/, "");
}

/** The memory of the machine's control group in bytes, as `stats` shows it. */
async function localMemory({ leaderPid, unit }: ExtraFacts): Promise<number | null> {
  const [{ CgroupMeter }, { groupOf }] = await Promise.all([
    import("../../kernel/cgroup/usage.ts"),
    import("../../stats/meter.ts"),
  ]);
  return unlessNoProcess(() => {
    using meter = new CgroupMeter(leaderPid, (path, controller) => groupOf(unit, path, controller));
    return meter.read().memoryBytes;
  }, null);
}

async function memoryOf(session: Session, facts: ExtraFacts): Promise<number | null> {
  if (session.settings.transport.kind === "local") return localMemory(facts);
  if (facts.unit === "") return null;
  const { unitInterface, unitPath } = await import("../unit/processes.ts");
  try {
    const bytes = await session.unitProperty(unitPath(facts.unit), unitInterface(facts.unit), "MemoryCurrent");
    // 2^64-1 means that the unit has no memory accounting.
    return typeof bytes === "bigint" && bytes <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(bytes) : null;
  } catch {
    return null;
  }
}

/** Returns the host name inside a container; null for a virtual machine, whose host name only its own kernel knows. */
async function hostnameOf({ settings }: Session, facts: ExtraFacts): Promise<string | null> {
  if (settings.transport.kind !== "local" || facts.class !== "container" || facts.leaderPid <= 0) return null;
  const [{ hostNameOf }, { PidRef }] = await Promise.all([
    import("../../kernel/process/host-name.ts"),
    import("../../kernel/process/pidref.ts"),
  ]);
  return unlessNoProcess(() => {
    using leader = PidRef.of(facts.leaderPid);
    return hostNameOf(leader);
  }, null);
}

async function ownerOf({ settings }: Session, { uid }: ExtraFacts): Promise<string | null> {
  if (uid === null) return null;
  if (settings.transport.kind !== "local") return uid === 0 ? "root" : String(uid);
  const { accountInFile, accountOfLibrary } = await import("../../kernel/process/account.ts");
  return (accountInFile(uid, "/etc/passwd") ?? accountOfLibrary(uid))?.name ?? String(uid);
}

/** Says why the memory of machines is missing where this user may not see their processes. */
function reportHidden({ settings, report }: Session, machines: readonly (ExtraFacts | null)[]): void {
  if (settings.transport.kind !== "local") return;
  const isHidden = machines.some((facts) => facts !== null && isHiddenProcess(facts.leaderPid));
  if (isHidden) report.warning(`The memory of machines is not shown: ${PROC_HIDES}.`);
}

/**
 * Returns the extras of machines in the order of their facts; for facts that are null, NO_EXTRAS. `needs` selects them.
 */
export function extrasOf(
  session: Session,
  machines: readonly (ExtraFacts | null)[],
  needs: ReadonlySet<string>,
): Promise<Extras[]> {
  if (needs.has("memory")) reportHidden(session, machines);
  return inParallel(machines, AT_ONCE, async (facts) => {
    if (facts === null) return NO_EXTRAS;
    const [hostname, memoryBytes, owner] = await Promise.all([
      needs.has("hostname") ? hostnameOf(session, facts) : null,
      needs.has("memory") ? memoryOf(session, facts) : null,
      needs.has("owner") ? ownerOf(session, facts) : null,
    ]);
    return { facts, image: imageOf(facts), hostname, memoryBytes, owner };
  });
}
