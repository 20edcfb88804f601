// Names and numbers of the signals of Linux, for `--signal=` (signal(7); systemctl(1), "--signal=").

import { parseUnsigned } from "../../base/text/number.ts";

const NAMES = [
  ..."HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP".split(" "),
  ..."TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS".split(" "),
];

const SIGRTMIN = 34;
const SIGRTMAX = 64;

/** Makes the init process of a container reboot (systemd(1), "Signals"). */
export const SIGINT = 2;
export const SIGTERM = 15;
/** SIGRTMIN+4 makes systemd as init process power off (systemd(1), "Signals"). */
export const SIGRTMIN_PLUS_4 = SIGRTMIN + 4;

/** Returns the name of a signal without `SIG`; the number for 32 and 33, which the C library reserves for itself. */
export function signalName(signal: number): string {
  const name = NAMES[signal - 1];
  if (name !== undefined) return name;
  return signal >= SIGRTMIN ? `RTMIN+${signal - SIGRTMIN}` : String(signal);
}

/** Returns the numbers of all signals in ascending order. */
export function allSignals(): number[] {
  return Array.from({ length: SIGRTMAX }, (_, index) => index + 1);
}

function inRange(signal: number): number | undefined {
  return signal >= 1 && signal <= SIGRTMAX ? signal : undefined;
}

/** Parses `TERM`, `SIGTERM`, `RTMIN+4`, `RTMAX-1` or `15` to the number of the signal; undefined for other text. */
export function parseSignal(text: string): number | undefined {
  const number = parseUnsigned(text);
  if (number !== undefined) return inRange(number);
  const name = text.startsWith("SIG") ? text.slice(3) : text;
  const index = NAMES.indexOf(name);
  if (index >= 0) return index + 1;
  if (name !== text && /^[0-9]/.test(name)) return inRange(parseUnsigned(name) ?? 0);
  const realTime = /^(RTMIN|RTMAX)(?:([+-])([0-9]\w*))?$/.exec(name);
  if (realTime === null) return undefined;
  const [, base, sign, digits] = realTime;
  if (sign !== undefined && (base === "RTMIN") !== (sign === "+")) return undefined;
  const offset = parseUnsigned(digits ?? "0") ?? SIGRTMAX;
  const signal = base === "RTMIN" ? SIGRTMIN + offset : SIGRTMAX - offset;
  return signal >= SIGRTMIN && signal <= SIGRTMAX ? signal : undefined;
}
