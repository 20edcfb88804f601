// Gathers all facts for the checks of a host, concurrently and each with a time limit.
import type { Session } from "../session/session.ts";
import type { Learned } from "./finding.ts";
import {
  gatherCaller,
  gatherCgroup,
  gatherClock,
  gatherDenials,
  gatherKernel,
  gatherNamespaces,
  gatherNss,
  gatherPath,
  gatherPolkit,
  gatherSockets,
} from "./gather-files.ts";
import {
  gatherBus,
  gatherDaemon,
  gatherOtherInit,
  gatherPrivateSocket,
  gatherUnits,
  systemdRelease,
} from "./gather-services.ts";
import type { HookFacts, HostFacts, QuotaFacts } from "./host-facts.ts";
import { learnAll } from "./learn.ts";
import { gatherPool } from "./pool.ts";

const MACHINE1 = "org.freedesktop.machine1";

async function gatherHook(session: Session): Promise<HookFacts> {
  const release = await systemdRelease(session);
  const { isThere } = session.ports;
  return {
    release,
    hasSocket: isThere("/run/systemd/resolve.hook/io.systemd.Machine"),
    resolvedRuns: isThere("/run/systemd/resolve/io.systemd.Resolve"),
  };
}

/** Returns null if the daemon does not run, because doctor must not start it. */
async function gatherQuota(session: Session): Promise<QuotaFacts | null> {
  const { owner, answers } = await gatherDaemon(session, MACHINE1, "machined");
  if (owner === null || !answers) return null;
  const properties = await session.properties("/org/freedesktop/machine1");
  const number = (name: string) => BigInt(String(properties.get(name)?.value ?? 0));
  return { usageBytes: number("PoolUsage"), limitBytes: number("PoolLimit") };
}

/** Gathers the facts of this host. */
export function gatherHost(session: Session): Promise<Learned<HostFacts>> {
  return learnAll<HostFacts>({
    caller: () => gatherCaller(session),
    otherInit: () => gatherOtherInit(session),
    bus: () => gatherBus(session),
    machined: () => gatherDaemon(session, MACHINE1, "machined"),
    importd: () => gatherDaemon(session, "org.freedesktop.import1", "importd"),
    privateSocket: () => gatherPrivateSocket(session),
    units: () => gatherUnits(session),
    path: () => gatherPath(session),
    cgroup: gatherCgroup,
    kernel: gatherKernel,
    nss: gatherNss,
    hook: () => gatherHook(session),
    sockets: () => gatherSockets(session),
    polkit: gatherPolkit,
    pool: gatherPool,
    quota: () => gatherQuota(session),
    namespaces: gatherNamespaces,
    denials: () => gatherDenials(session),
    clock: gatherClock,
  });
}
