// Checks of `machinectl doctor`: kernel, control groups, names, network, pool, denials of security modules, time.

import { formatBytes, UINT64_MAX } from "../../base/text/format.ts";
import { shellQuoted as quoted } from "../../base/text/shell-quoted.ts";
import { type Check, checksOf, type Finding, ok } from "./finding.ts";
import { type HostFacts, NO_SYSTEMD, type PoolFacts, UNITS, type UnitFacts } from "./host-facts.ts";

const define = checksOf<HostFacts>();

/** systemd-resolved of this version and later queries the sockets in /run/systemd/resolve.hook for names. */
const HOOKS_SINCE = 259;
const MIB = 1 << 20;
const FULL_BYTES = 64 * MIB;
const FULL_SHARE = 0.01;
const SCARCE_SHARE = 0.05;
const DAY_MS = 86_400_000;

/**
 * Returns a finding if this host's systemd-networkd does not run, so that machines get no addresses; null otherwise.
 */
export function networkdFinding({ load, active }: UnitFacts): Finding | null {
  if (load === "loaded" && active === "active") return null;
  const unit = UNITS.networkd;
  const why = "machines with a network of their own (systemd-nspawn@.service) get no address from this host";
  if (load === NO_SYSTEMD)
    return { level: "warning", what: "neither systemd nor systemd-networkd runs on this host", why };
  if (load === "not-found") return { level: "warning", what: `there is no ${unit}`, why };
  const unmask = load === "masked" ? `systemctl unmask ${unit} && ` : "";
  const what = `${unit} is ${load === "masked" ? "masked" : active}`;
  return { level: "warning", what, why, mend: `${unmask}systemctl enable --now ${unit}` };
}

/** Checks the free space of the pool's file system. */
function spaceFinding({ path, exists, totalBytes, availableBytes, hasHidden }: PoolFacts): Finding {
  if (!exists) return ok(`${path} is made with the first image`);
  const left = `${formatBytes(BigInt(availableBytes))} of ${formatBytes(BigInt(totalBytes))} are free`;
  const share = availableBytes / totalBytes;
  if (share >= SCARCE_SHARE && availableBytes >= FULL_BYTES) return ok(left);
  const isFull = availableBytes < FULL_BYTES || share < FULL_SHARE;
  const why = hasHidden
    ? "downloads and clones fail when it is full; hidden images are only a cache"
    : "downloads and clones fail when it is full; 'machinectl list-images' shows what takes the space";
  return {
    level: isFull ? "problem" : "warning",
    what: `${path} is ${isFull ? "full" : "nearly full"}: ${left}`,
    why,
    ...(hasHidden ? { mend: "machinectl clean" } : {}),
  };
}

/** The checks, in the order in which they are printed. */
export const HOST_CHECKS: readonly Check<HostFacts>[] = [
  define({
    id: "kernel",
    title: "kernel",
    needs: ["kernel"],
    check: ({ kernel: { release, missing, lesser } }) => {
      if (missing.length > 0) {
        const why = "machined needs Linux 5.10 or newer, and a sandbox that allows these calls";
        return { level: "problem", what: `${release} has no ${missing.join(" and no ")}`, why };
      }
      return ok(
        lesser.length === 0 ? `${release} has all that is used` : `${release}, without ${lesser.join(" and ")}`,
      );
    },
  }),
  define({
    id: "cgroup",
    title: "control groups",
    needs: ["cgroup"],
    check: ({ cgroup: { version, missing } }) => {
      if (missing.length === 0) return ok(`version ${version} with all controllers`);
      const why = "machines have no limits and no statistics for these ('machinectl stats' shows -)";
      return { level: "warning", what: `version ${version} without the controllers ${missing.join(", ")}`, why };
    },
  }),
  define({
    id: "user-namespaces",
    title: "user namespaces",
    needs: ["namespaces"],
    check: ({ namespaces: { most, usual } }) => {
      if (most > 0) return ok(`up to ${most}`);
      const why = "machines with private users (--private-users=, the setting of systemd-nspawn@.service) do not start";
      const mend = `sysctl -w user.max_user_namespaces=${usual}`;
      return { level: "problem", what: "user.max_user_namespaces is 0", why, mend };
    },
  }),
  define({
    id: "nss-configuration",
    title: "names for programs",
    needs: ["caller", "nss", "hook"],
    check: ({ caller, nss: { without }, hook }) => {
      if (without.length === 0) return ok("nsswitch.conf names mymachines");
      const isHooked = hook.release >= HOOKS_SINCE && hook.hasSocket && hook.resolvedRuns;
      const lost = without.filter((database) => database !== "hosts" || !isHooked);
      if (lost.length === 0) return ok("systemd-resolved knows the names of machines");
      const what = `nsswitch.conf has no mymachines for ${lost.join(", ")}`;
      const why = lost.includes("hosts")
        ? "ssh, ping and others do not find machines by name"
        : "ls and ps show numbers for the users of machines";
      return { level: "warning", what, why, mend: `${caller.machined} install --nss` };
    },
  }),
  define({
    id: "nss-module",
    title: "NSS module",
    needs: ["caller", "nss"],
    check: ({ caller, nss: { module } }) => {
      if (module !== null) return ok(module);
      const why = "programs that look up names with the C library do not find machines";
      return {
        level: "warning",
        what: "there is no libnss_mymachines.so.2",
        why,
        mend: `${caller.machined} install --nss`,
      };
    },
  }),
  define({
    id: "resolved-hook",
    title: "names for resolved",
    needs: ["hook", "machined"],
    check: ({ hook: { release, hasSocket, resolvedRuns }, machined }) => {
      if (release < HOOKS_SINCE) return ok(`systemd-resolved ${release} has no hooks: names need the NSS module`);
      if (!resolvedRuns) return ok("systemd-resolved does not run: names need the NSS module");
      if (hasSocket || machined.owner === null) return ok("systemd-machined answers systemd-resolved");
      const why = "systemd-resolved does not know the names of machines";
      const what = "systemd-machined has no socket in /run/systemd/resolve.hook";
      return { level: "warning", what, why, mend: `systemctl restart ${UNITS.machined}` };
    },
  }),
  define({
    id: "networkd",
    title: "private networks",
    needs: ["units"],
    check: ({ units: { networkd } }) =>
      networkd.load === NO_SYSTEMD
        ? ok("without systemd, the administrator configures the addresses of machines")
        : (networkdFinding(networkd) ?? ok(`${UNITS.networkd} runs`)),
  }),
  define({
    id: "space",
    title: "space for images",
    needs: ["pool"],
    check: ({ pool }) => spaceFinding(pool),
  }),
  define({
    id: "quota",
    title: "limit of the pool",
    needs: ["pool", "quota"],
    check: ({ pool, quota }) => {
      if (!pool.isBtrfs) return ok(`${pool.path} is not btrfs: images have no limits, clones are whole copies`);
      if (quota === null || quota.limitBytes === UINT64_MAX) return ok("none");
      const { usageBytes, limitBytes } = quota;
      const used = `${formatBytes(usageBytes)} of ${formatBytes(limitBytes)} are used`;
      if (usageBytes === UINT64_MAX || usageBytes * 20n < limitBytes * 19n) return ok(used);
      const mend = `machinectl set-limit ${limitBytes * 2n}`;
      return {
        level: "problem",
        what: `${pool.path} is at its limit: ${used}`,
        why: "nothing more can be written",
        mend,
      };
    },
  }),
  define({
    id: "left-overs",
    title: "left-over files",
    needs: ["caller", "pool", "otherInit"],
    check: ({ caller, pool: { path, ofTransfers, ofOperations }, otherInit }) => {
      const all = [...ofTransfers, ...ofOperations];
      const [first] = all;
      if (first === undefined) return ok("none");
      const restart = otherInit === null ? `systemctl restart ${UNITS.machined}` : otherInit.machined;
      const mends = [
        ...(ofTransfers.length > 0 ? [`${caller.machined} systemd-import-sweep ${quoted(path)}`] : []),
        ...(ofOperations.length > 0 && restart !== null ? [restart] : []),
      ];
      return {
        level: "warning",
        what: `${path}/${first}${all.length > 1 ? ` and ${all.length - 1} more are` : " is"} left of work that was killed`,
        why: "they take space, and no process uses them",
        ...(mends.length === 0 ? {} : { mend: mends.join(" && ") }),
      };
    },
  }),
  define({
    id: "denials",
    title: "SELinux and AppArmor",
    needs: ["denials"],
    check: ({ denials }) => {
      const last = denials.at(-1);
      if (last === undefined) return ok("no denials since the host was started");
      const profile = /profile="([^"]+)"/.exec(last)?.[1];
      const mend = profile === undefined ? "restorecon -RF /usr/local/lib/machined" : `aa-complain ${quoted(profile)}`;
      return {
        level: "warning",
        what: `${denials.length} denials, the last: ${last}`,
        why: "system calls of machined's programs fail",
        mend,
      };
    },
  }),
  define({
    id: "time",
    title: "time",
    needs: ["clock"],
    check: ({ clock: { nowMs, builtMs } }) => {
      if (nowMs > builtMs - DAY_MS) return ok(new Date(nowMs).toISOString());
      const what = `it is ${new Date(nowMs).toISOString()}, before this program was made`;
      const why = "certificates and signatures of downloads count as not valid yet";
      return { level: "problem", what, why, mend: "timedatectl set-ntp true" };
    },
  }),
];
