// Makes the escape sequences that mark output as a machine's for the terminal emulator (OSC 3008, "Hierarchical Context
// Signalling", https://uapi-group.org/specifications/specs/osc_context/).
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { ownAccount } from "../../kernel/process/account.ts";
import { PidRef } from "../../kernel/process/pidref.ts";

interface TerminalContext {
  readonly start: string;
  readonly end: string;
}

/** Returns the sequences to write before and after a session in a machine. */
export function machineContext(machine: string): TerminalContext {
  const id = crypto.randomUUID().replaceAll("-", "");
  using self = PidRef.self();
  const fields: [string, string | undefined][] = [
    ["start", id],
    ["user", ownAccount().name],
    ["hostname", hostname()],
    ["machineid", firstLine("/etc/machine-id")],
    ["bootid", firstLine("/proc/sys/kernel/random/boot_id")?.replaceAll("-", "")],
    ["pid", String(process.pid)],
    ["pidfdid", self.id === null ? undefined : String(self.id)],
    ["comm", "machinectl"],
    ["container", machine],
    ["type", "container"],
  ];
  const known = fields.filter(([, value]) => value !== undefined && value !== "");
  return {
    start: sequence(known.map(([key, value]) => `${key}=${plain(value ?? "")}`)),
    end: sequence([`end=${id}`]),
  };
}

function sequence(fields: readonly string[]): string {
  return `\u001b]3008;${fields.join(";")}\u001b\\`;
}

/** Escapes separators and control characters as `\xNN`. */
function plain(value: string): string {
  return value.replaceAll(/[\p{Cc};\\]/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

function firstLine(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1").split("\n")[0];
  } catch {
    return undefined;
  }
}
