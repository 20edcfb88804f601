// Checks of `machinectl doctor`: the message bus, the two daemons, their sockets and the programs that users call.
import { shellQuoted as quoted } from "../../base/text/shell-quoted.ts";
import { PROGRAM_VERSION } from "../../base/vocabulary/version.ts";
import { type Check, checksOf, type Finding, ok } from "./finding.ts";
import {
  type DaemonFacts,
  type HostFacts,
  NO_SYSTEMD,
  type RestartFacts,
  UNITS,
  type UnitFacts,
} from "./host-facts.ts";

const define = checksOf<HostFacts>();

type DaemonKey = "machined" | "importd";
type Surroundings = Pick<HostFacts, "caller" | "otherInit" | "units">;

const OLD_PROGRAM = "calls and options that only machined has do not work";

function restartUnit(unit: string): string {
  return `systemctl reset-failed ${unit} && systemctl restart ${unit}`;
}

/**
 * Returns a repair command that runs `first`, if any, and then starts a daemon again; none where the host's init does
 * not have it.
 */
function restartMend(key: DaemonKey, otherInit: RestartFacts | null, first = ""): Pick<Finding, "mend"> {
  const again = otherInit === null ? restartUnit(UNITS[key]) : otherInit[key];
  return again === null ? {} : { mend: first === "" ? again : `${first} && ${again}` };
}

/** Returns a finding if the unit cannot be started or has failed; null otherwise. */
function unitFinding(unit: string, { load, active }: UnitFacts): Finding | null {
  if (load === "masked") {
    return {
      level: "problem",
      what: `${unit} is masked`,
      why: "it cannot be started",
      mend: `systemctl unmask ${unit}`,
    };
  }
  if (active === "failed") {
    const why = `'journalctl --unit=${unit}' shows the reason`;
    return { level: "problem", what: `${unit} has failed`, why, mend: restartUnit(unit) };
  }
  return null;
}

/** Returns a finding if something is wrong with the process that owns the daemon's bus name; null otherwise. */
function ownerFinding(key: DaemonKey, daemon: DaemonFacts, { caller, otherInit }: Surroundings): Finding | null {
  const unit = UNITS[key];
  const { owner, mainPid } = daemon;
  if (owner === null) return null;
  if (owner.pid !== mainPid) {
    const what = `process ${owner.pid} (${owner.path}) answers in place of ${unit}`;
    const why = "a second daemon keeps the host's own from starting, and ends with whoever started it";
    return { level: "problem", what, why, mend: `kill ${owner.pid} && systemctl restart ${unit}` };
  }
  if (owner.program !== "ours" && caller.isInstalled) {
    const what = `${owner.path} answers, not the installed machined`;
    return { level: "problem", what, why: OLD_PROGRAM, mend: `${caller.machined} install --now` };
  }
  if (!daemon.answers) {
    const why = "its callers wait until they time out";
    const kill = otherInit === null ? `systemctl kill --signal=SIGKILL ${unit}` : `kill -KILL ${owner.pid}`;
    return {
      level: "problem",
      what: `process ${owner.pid} does not answer`,
      why,
      ...restartMend(key, otherInit, kill),
    };
  }
  if (owner.isReplaced) {
    const what = `process ${owner.pid} runs an executable that was replaced`;
    const why = "it is not the version that is installed";
    return { level: "warning", what, why, ...restartMend(key, otherInit) };
  }
  return null;
}

/** The finding for a unit that forbids executable memory, which the JIT compiler needs. */
function hardenedFinding(unit: string): Finding {
  const directory = `/etc/systemd/system/${unit}.d`;
  const text = "[Service]\\nMemoryDenyWriteExecute=no\\n";
  return {
    level: "problem",
    what: `${unit} has MemoryDenyWriteExecute=yes`,
    why: "machined compiles code at run time and cannot run where that is forbidden",
    mend:
      `mkdir -p ${directory} && printf '${text}' > ${directory}/zz-machined.conf && systemctl daemon-reload && ` +
      restartUnit(unit),
  };
}

/** Checks one daemon: its unit, the process that answers, and what the unit starts. */
function daemonFinding(key: DaemonKey, daemon: DaemonFacts, surroundings: Surroundings): Finding {
  const { caller, units } = surroundings;
  const unit = UNITS[key];
  const { starts } = daemon;
  if (starts?.program === "ours" && daemon.forbidsExecutableMemory) return hardenedFinding(unit);
  const found = ownerFinding(key, daemon, surroundings) ?? unitFinding(unit, units[key]);
  if (found !== null) return found;
  if (starts !== null && starts.program !== "ours" && caller.isInstalled) {
    const what = `${unit} starts ${starts.path}, not the installed machined`;
    return { level: "problem", what, why: OLD_PROGRAM, mend: `${caller.machined} install --now` };
  }
  if (daemon.owner !== null) {
    const { program, path, pid } = daemon.owner;
    const who =
      program === "ours" ? PROGRAM_VERSION : program === "stock" ? "the distribution's" : "an unknown program";
    return ok(`${who} answers (process ${pid}, ${path})`);
  }
  if (daemon.isActivatable) return ok("does not run now, and is started when it is called");
  const why = "no D-Bus service file says how to start it";
  const mend = `${caller.machined} install --now`;
  return { level: "problem", what: "does not run, and nothing starts it", why, mend };
}

/** Checks that a socket unit is active; `loss` says what does not work without it. */
function socketFinding(unit: string, { load, active }: UnitFacts, loss: string): Finding {
  if (load === "masked" || active !== "active") {
    const unmask = load === "masked" ? `systemctl unmask ${unit} && ` : "";
    const state = load === "masked" ? "masked" : active;
    return {
      level: "warning",
      what: `${unit} is ${state}`,
      why: loss,
      mend: `${unmask}systemctl enable --now ${unit}`,
    };
  }
  return ok(`${unit} listens`);
}

/** The checks, in the order in which they are printed. */
export const DAEMON_CHECKS: readonly Check<HostFacts>[] = [
  define({
    id: "bus",
    title: "message bus",
    needs: ["bus", "privateSocket", "otherInit"],
    check: ({ bus, privateSocket, otherInit }) => {
      if (bus.failure === null) return ok("answers");
      if (privateSocket.answers && !bus.isExpected)
        return ok("there is none; systemd-machined answers on its private socket");
      if (!bus.isExpected) {
        const what = "there is none, and no systemd-machined on its private socket";
        return { level: "problem", what, why: "no machine can be registered or found: start systemd-machined" };
      }
      const why = `${bus.failure}; without it no daemon of this host can be called`;
      const mend = bus.isSilent ? "systemctl restart dbus.service" : "systemctl start dbus.socket";
      const command = otherInit === null ? mend : otherInit.bus;
      return { level: "problem", what: "does not answer", why, ...(command === null ? {} : { mend: command }) };
    },
  }),
  define({
    id: "machined",
    title: "systemd-machined",
    needs: ["caller", "machined", "units", "otherInit"],
    check: ({ machined, ...surroundings }) => daemonFinding("machined", machined, surroundings),
  }),
  define({
    id: "importd",
    title: "systemd-importd",
    needs: ["caller", "importd", "units", "otherInit"],
    check: ({ importd, ...surroundings }) => daemonFinding("importd", importd, surroundings),
  }),
  define({
    id: "import-socket",
    title: "transfers over Varlink",
    needs: ["units"],
    check: ({ units: { importSocket } }) => {
      if (importSocket.load === NO_SYSTEMD) return ok("without systemd, systemd-importd makes its socket itself");
      if (importSocket.load === "not-found") return ok("this host's systemd-importd has no socket");
      return socketFinding(
        UNITS.importSocket,
        importSocket,
        "systemd-sysupdate and other Varlink callers cannot reach systemd-importd",
      );
    },
  }),
  define({
    id: "exec-socket",
    title: "exec for users",
    needs: ["caller", "units"],
    check: ({ caller, units: { execSocket } }) => {
      if (!caller.isInstalled) return ok("machined is not installed: only root can run commands in machines");
      if (execSocket.load === NO_SYSTEMD) return ok("without systemd, only root can run commands in machines");
      if (execSocket.load === "not-found") {
        const why = "only root can run commands in machines";
        return {
          level: "warning",
          what: `there is no ${UNITS.execSocket}`,
          why,
          mend: `${caller.machined} install --now`,
        };
      }
      return socketFinding(UNITS.execSocket, execSocket, "only root can run commands in machines");
    },
  }),
  define({
    id: "sockets",
    title: "runtime directory",
    needs: ["sockets"],
    check: ({ sockets }) => {
      const wrong = sockets.filter(({ uid, mode, wanted }) => uid !== 0 || mode !== wanted);
      const [first] = wrong;
      if (first === undefined) return ok("owner and modes are right");
      const mends = wrong.map(({ path, uid, wanted }) => {
        return `${uid === 0 ? "" : `chown root:root ${quoted(path)} && `}chmod ${wanted.toString(8)} ${quoted(path)}`;
      });
      return {
        level: "problem",
        what: `${first.path} has mode ${first.mode.toString(8)} and owner ${first.uid}, not ${first.wanted.toString(8)} and 0`,
        why: "programs of users, and name lookups of all programs, cannot reach the daemon",
        mend: mends.join(" && "),
      };
    },
  }),
  define({
    id: "path",
    title: "machinectl in PATH",
    needs: ["caller", "path"],
    check: ({ caller, path: { found, isLinked, cronLines } }) => {
      const [first] = found;
      const ours = found.find(({ isOurs }) => isOurs)?.path ?? "/usr/local/bin/machinectl";
      const directory = ours.slice(0, ours.lastIndexOf("/"));
      if (!caller.isInstalled) return ok(first === undefined ? "there is none" : first.path);
      if (first?.isOurs !== true) {
        const why = "that program does not have the verbs and options of machined";
        if (!isLinked && !found.some((one) => one.isOurs)) {
          const what = `${first?.path ?? "nothing"} is found, and machined's own is not installed`;
          return { level: "warning", what, why, mend: `${caller.machined} install --now` };
        }
        const what = `${first?.path ?? "nothing"} is found before ${ours}`;
        return { level: "warning", what, why, mend: `export PATH=${quoted(directory)}:"$PATH"` };
      }
      const [line] = cronLines;
      const isDiverted = found.some((one) => one.isOurs && one.path === "/usr/bin/machinectl");
      if (line === undefined || isDiverted) return ok(first.path);
      const mend = `{ echo 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'; crontab -l; } | crontab -`;
      const why =
        "cron's PATH has only /usr/bin and /bin, where the distribution's programs are ('machined install --divert' puts links there)";
      return { level: "warning", what: `a line of the crontab calls another program: ${line}`, why, mend };
    },
  }),
  define({
    id: "polkit",
    title: "polkit",
    needs: ["caller", "units", "polkit"],
    check: ({ caller, units: { polkit: unit }, polkit: { missing } }) => {
      const why = "users who are not root are refused everything that needs permission";
      if (unit.load === "not-found") {
        return {
          level: "warning",
          what: "is not installed",
          why,
          mend: "apt-get install -y polkitd || dnf install -y polkit",
        };
      }
      const found = unitFinding(UNITS.polkit, unit);
      if (found !== null) return { ...found, why };
      const [first] = missing;
      if (first === undefined) return ok("has all actions");
      if (!caller.isInstalled) return ok(`has no action '${first}', which the distribution's daemons do not use`);
      const what = `has no action '${first}'${missing.length > 1 ? ` and lacks ${missing.length - 1} more` : ""}`;
      return { level: "problem", what, why, mend: `${caller.machined} install` };
    },
  }),
];
