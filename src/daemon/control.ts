// The daemon's control interfaces: log level and target over D-Bus (org.freedesktop.LogControl1(5)), log level and
// environment over Varlink (io.systemd.service).

import { LogControl } from "../api/peers.ts";
import { IoSystemdService } from "../api/varlink/io-systemd-service.ts";
import { invalidArgument } from "../base/error.ts";
import { LOG_LEVELS } from "../base/log-level.ts";
import { type BoundInterface, bindInterface } from "../ipc/bus/binding.ts";
import { type BoundVarlink, bindVarlink } from "../ipc/varlink/binding.ts";
import type { LogControlState } from "./log.ts";

/** Binds LogControl1 to the daemon's log. */
export function logControl(log: LogControlState): BoundInterface {
  return bindInterface(
    LogControl,
    {},
    {
      LogLevel: () => log.level,
      LogTarget: () => log.target,
      SyslogIdentifier: () => log.identifier,
    },
    { LogLevel: (level: string) => log.setLevel(level), LogTarget: (target: string) => log.setTarget(target) },
  );
}

/** Binds io.systemd.service to the daemon's log. */
export function serviceVarlink(log: LogControlState): BoundVarlink {
  return bindVarlink(IoSystemdService, {
    Ping: () => undefined,
    SetLogLevel: (_call, { level }) => {
      const name = LOG_LEVELS[Number(level)];
      if (name === undefined) throw invalidArgument("level", "Invalid log level");
      log.setLevel(name);
    },
    GetLogLevel: () => ({ level: (LOG_LEVELS as readonly string[]).indexOf(log.level) }),
    GetEnvironment: () => {
      return { environment: Object.entries(process.env).map(([key, value]) => `${key}=${value}`) };
    },
  });
}
