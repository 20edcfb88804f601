// Signal names and numbers of Linux, as `--signal=` takes and lists them (signal(7), systemctl(1) "--signal=").

const NAMES = [
  ..."HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP".split(" "),
  ..."TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS".split(" "),
];

const SIGRTMIN = 34;
const SIGRTMAX = 64;

/** SIGINT: what makes the init of a container reboot. */
export const SIGINT = 2;
export const SIGTERM = 15;
/** SIGRTMIN+4: what makes systemd as init power off (systemd(1), "Signals"). */
export const SIGRTMIN_PLUS_4 = SIGRTMIN + 4;

/** The name of a signal without `SIG`; the two the C library keeps for itself are called by their numbers. */
export function signalName(signal: number): string {
  const name = NAMES[signal - 1];
  if (name !== undefined) return name;
  return signal >= SIGRTMIN ? `RTMIN+${signal - SIGRTMIN}` : String(signal);
}

/** All signals in order of their numbers. */
export function allSignals(): number[] {
  return Array.from({ length: SIGRTMAX }, (_, index) => index + 1);
}

function inRange(signal: number): number | undefined {
  return signal >= 1 && signal <= SIGRTMAX ? signal : undefined;
}

/** The number of a signal given as `TERM`, `SIGTERM`, `RTMIN+4`, `RTMAX-1` or `15`; undefined for other text. */
export function parseSignal(text: string): number | undefined {
  if (/^[0-9]+$/.test(text)) return inRange(Number(text));
  const name = text.startsWith("SIG") ? text.slice(3) : text;
  const index = NAMES.indexOf(name);
  if (index >= 0) return index + 1;
  if (name !== text && /^[0-9]+$/.test(name)) return inRange(Number(name));
  const realTime = /^(RTMIN|RTMAX)(?:([+-])([0-9]+))?$/.exec(name);
  if (realTime === null) return undefined;
  const [, base, sign, digits] = realTime;
  if (sign !== undefined && (base === "RTMIN") !== (sign === "+")) return undefined;
  const offset = Number(digits ?? "0");
  const signal = base === "RTMIN" ? SIGRTMIN + offset : SIGRTMAX - offset;
  return signal >= SIGRTMIN && signal <= SIGRTMAX ? signal : undefined;
}
